"""Models that fill: fillers, networks and their weights files, by name."""
