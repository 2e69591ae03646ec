"""Text derived from a declaration: the specification, a Kaitai schema, an annotated dump."""
