"""The user's own machines: pools of them, reached by SSH, each lent to one cluster at a time."""
