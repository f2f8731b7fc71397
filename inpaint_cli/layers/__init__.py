"""Blocks that several architectures share. They import torch only."""
