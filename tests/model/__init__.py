"""Tests of the values of a store."""
