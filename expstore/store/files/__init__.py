"""Access to files on a file system or at a URL, and their names; not their contents."""
