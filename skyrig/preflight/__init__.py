"""Whether nodes are fit for a job: what each one has, what the network between them carries, and what that says."""
