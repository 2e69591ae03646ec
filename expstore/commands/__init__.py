"""The commands of `expstore`: each module a theme, each command one method of the library."""
