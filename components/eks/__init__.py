"""Kubernetes clusters on AWS: EKS with node groups whose nodes have EFA."""
