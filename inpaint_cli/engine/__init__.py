"""Does the work. It takes objects and paths, and knows nothing of click."""
