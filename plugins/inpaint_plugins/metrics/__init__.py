"""The built-in metrics, with the conventions of the literature as settings."""
