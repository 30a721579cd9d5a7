"""Kubernetes as a cloud: a context of a kubeconfig is a region, a pod a node."""
