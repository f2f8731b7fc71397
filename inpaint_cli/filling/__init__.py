"""Fill the holes of one photo, or of a folder of photos."""
