"""What is asked of Atlantis."""
