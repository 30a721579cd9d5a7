"""Clusters on Oracle Cloud: Compute instances, in compute clusters where they have RDMA. Nothing outside this folder
imports pulumi_oci."""
