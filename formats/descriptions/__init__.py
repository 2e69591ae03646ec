"""Text made of a declaration: the specification, a Kaitai schema, an annotated dump."""
