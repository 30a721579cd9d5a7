"""Kubernetes clusters on Google Cloud: GKE with node pools that have GPUDirect."""
