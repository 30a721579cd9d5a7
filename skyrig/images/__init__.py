"""Images: environments and machines that are prepared once, and that nodes start from."""
