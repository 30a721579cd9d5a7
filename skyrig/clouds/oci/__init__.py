"""Oracle Cloud: its prices. Clusters are not made there yet."""
