"""Managed jobs as values: what one shall be, and what is known of one."""
