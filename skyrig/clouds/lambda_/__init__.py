"""Lambda: its prices. Clusters are not made there yet."""
