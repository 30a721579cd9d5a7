"""What Skyrig made and nobody here knows any more: found by its tags, taken away, or given a stack anew."""
