"""The repository."""
