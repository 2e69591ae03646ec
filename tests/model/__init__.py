"""The values of a store."""
