"""Buckets at their places on a node: what is attached there, and what of it is not in its bucket yet.

These modules (standard library, Python 3.8) run on nodes, which have no Skyrig: skyrig.launch.nodeside sends them, as
one text, to be run there (`program`) or to be loaded by each rank's supervisor (`watch`).
"""
