"""Single values: a codec compiled from the declaration, and an annotation of each byte."""
