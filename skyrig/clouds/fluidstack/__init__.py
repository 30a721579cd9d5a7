"""Fluidstack: what is asked of it."""
