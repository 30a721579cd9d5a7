"""Slurm clusters that are there already: their stack says how they are reached and what they have."""
