"""A cloud that is made up: its machines are processes on this one."""
