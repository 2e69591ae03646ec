"""The helpers for other projects' tests."""
