"""The command line: invoke tasks, one module a noun. No logic but checking words and calling `skyrig.verbs`.

Importing any module here is cheap (`invoke --list` shall answer at once): what a verb needs, its body imports.
"""
