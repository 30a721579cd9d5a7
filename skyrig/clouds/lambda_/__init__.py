"""Lambda: its prices, and what is asked of it."""
