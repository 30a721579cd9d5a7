"""Jobs: rendering their scripts, the keeper on the head, the supervisor on each node. Knows no cloud and no Pulumi."""
