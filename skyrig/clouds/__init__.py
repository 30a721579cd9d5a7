"""What Skyrig asks a cloud itself, beside the engine: who pays, what runs, what is left. One folder a cloud.

The cloud's SDK is imported where a call needs it, never on the way of a command that does not.
"""
