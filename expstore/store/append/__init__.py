"""Appending to logs safely while other programs do the same."""
