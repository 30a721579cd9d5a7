"""Pulumi components that build clusters: one contract, the cluster description, for every cloud.

Components take plain values and never read `pulumi.Config`; the program in stacks/ does. Modules here do without
`from __future__ import annotations`: Pulumi's schema analyzer needs annotations that are types.
"""
