"""Managed jobs as wards: each owns its cluster, which is made, watched, mended and taken down for it."""
