"""Lambda: single machines, made by dynamic resources over its Cloud API."""
