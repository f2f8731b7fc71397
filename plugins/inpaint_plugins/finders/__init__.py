"""What can be found in a photo, one module a family."""
