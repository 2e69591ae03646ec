"""The formats: declarations, codecs, columns, damage and descriptions."""
