"""Requests: what a Python program has asked for, done by a process of its own that outlives the program.

`folder` is what is kept of one, `worker` the process, `work` what it can do, `calls` what programs call.
"""
