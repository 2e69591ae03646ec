"""Tests of file access, on a file system and at a URL."""
