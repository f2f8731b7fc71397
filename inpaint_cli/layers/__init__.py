"""Blocks that two architectures share. They import torch only."""
