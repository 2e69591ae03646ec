"""One value: a codec compiled from its declaration, and what each of its bytes is."""
