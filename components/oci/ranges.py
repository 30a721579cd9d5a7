"""Address ranges of a cluster's own network."""

VCN = "10.128.0.0/19"
"""Range of the VCN."""
PUBLIC = "10.128.0.0/20"
"""Range of the subnet of the head, and of all nodes where each has a public address: 4093 nodes."""
PRIVATE = "10.128.16.0/20"
"""Range of the subnet of all others."""
