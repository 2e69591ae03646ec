"""A store by many workers."""
