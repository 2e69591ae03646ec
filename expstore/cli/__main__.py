"""`python -m expstore.cli`: the command line."""

from expstore.cli import main

main()
