"""Bytes on a file system or at a URL, and what is called what there; no meaning of bytes."""
