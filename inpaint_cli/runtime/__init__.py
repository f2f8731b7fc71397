"""Devices, random seeds and worker processes."""
