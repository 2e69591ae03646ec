"""Tests of appending to logs."""
