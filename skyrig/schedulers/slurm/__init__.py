"""Jobs on clusters that have Slurm, through the commands of its login node: nothing of ours runs there between jobs."""
