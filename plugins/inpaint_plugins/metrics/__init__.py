"""The built-in metrics, each with the conventions of the literature as settings."""
