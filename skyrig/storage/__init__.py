"""Buckets, and how they come to nodes: urls, remotes, mounts, and the programs and servers behind them."""
