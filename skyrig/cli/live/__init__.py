"""What Skyrig is busy with, drawn below the lines on a terminal. `screen` is light; only what it draws imports rich."""
