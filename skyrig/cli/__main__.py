"""`python -m skyrig.cli` is the console script `skyrig`."""

from skyrig.cli.program import main

main()
