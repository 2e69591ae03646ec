"""Tests of the live page and its server."""
