"""The hooks for training frameworks, tested with the real frameworks where they are installed.

`tests/integrations/setup` makes an environment that has them all.
"""
