"""Clusters of pods: each node is a pod of an indexed Job, all of a cluster behind one headless service."""
