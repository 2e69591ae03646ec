"""Export and import: writing and reading the files of other tools."""
