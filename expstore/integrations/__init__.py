"""Hooks for training frameworks: one small module each, which imports its framework.

The core and the other wings know none of them, and each may be deleted without the others noticing.
"""
