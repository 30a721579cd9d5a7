"""Kubernetes clusters that queue jobs themselves: a task becomes a JobSet there, with no daemon of ours."""
