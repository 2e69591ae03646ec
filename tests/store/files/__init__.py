"""Files, on a file system and at a URL."""
