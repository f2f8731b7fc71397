"""Losses that tasks share: plain functions (and modules that hold a frozen network)."""
