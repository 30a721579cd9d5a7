"""Nebius AI Cloud, asked through its API by its own SDK."""
