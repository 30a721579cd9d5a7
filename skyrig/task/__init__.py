"""The task file: YAML into typed values, with errors that name file, line and column.

`reading.load` is the way in. One concern a file: `document` (YAML and positions), `problems` (collecting errors),
`resources` and `environment` (their fields), `model` (the values).
"""
