"""What other projects' tests use."""
