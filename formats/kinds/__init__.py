"""What the bytes of a field mean: its kind, and how it is read from a `construct` declaration."""
