"""Pulumi stacks: previewing, bringing up, repairing and reading them. The only room that runs the engine.

The engine is always a subprocess that is told its stack by name: nothing here moves the user's selection.
"""
