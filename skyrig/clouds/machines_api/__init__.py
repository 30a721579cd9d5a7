"""What clouds have in common that rent machines by a small HTTP API, without a provider of the engine: how they are
asked, how a machine is made once and no more, and how what they have of a stack is found again.

A cloud that is asked in this way has a module `api` with `connect(account)`, a `Rents` (machine.py).
"""
