"""Fill holes in photos."""
