"""The formats' codecs, compiled once for the whole package."""

from formats import META, RECORD, RecordCodec

META_CODEC = RecordCodec(META)
"""Of meta.bin."""

RECORD_CODEC = RecordCodec(RECORD)
"""Of one record of metrics.bin."""
