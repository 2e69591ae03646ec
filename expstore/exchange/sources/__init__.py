"""What people arrive with: one module a kind of source, each giving the same kind of run."""
