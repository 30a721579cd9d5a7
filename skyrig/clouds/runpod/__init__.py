"""RunPod: its prices, and what is asked of it."""
