"""RunPod: single pods, made by dynamic resources over its REST API."""
