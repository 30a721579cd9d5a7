"""The narrow waist between infrastructure and jobs.

`shape` is what a stack shall be (desired state, from its config), `description` is what is there (the stack output
`cluster`). Both are plain values: no pulumi, no SSH, importable by every other room.
"""
