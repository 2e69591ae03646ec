"""Data out and data in: files of other tools, written and read."""
