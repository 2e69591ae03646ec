"""`python -m expstore`: the command line."""

from expstore.cli import main

main()
