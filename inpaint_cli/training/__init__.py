"""Train an architecture by a recipe."""
