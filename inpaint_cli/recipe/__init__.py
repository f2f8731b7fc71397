"""Recipes: YAML to typed settings and plugins, every error at its line."""
