"""Appending to logs."""
