"""Fluidstack: single machines, made by dynamic resources over its Atlas API."""
