"""Clusters on Google Cloud: Compute Engine instances and TPU VMs. Nothing outside this folder imports pulumi_gcp."""
