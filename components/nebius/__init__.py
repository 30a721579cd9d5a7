"""Clusters on Nebius AI Cloud: Compute VMs. Nothing outside this folder imports pulumi_nebius."""
