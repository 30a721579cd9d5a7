"""What the controller's table lies in: a file (sqlite), or a PostgreSQL that a url names."""
