"""What fills: fillers, networks and their weights files, by name."""
