"""Clusters on the user's own machines: each is lent to one node, and afterwards as it was."""
