"""Kubernetes clusters on Azure: AKS with node pools that have GPUs and InfiniBand."""
