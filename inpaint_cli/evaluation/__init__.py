"""Measure fills by a protocol."""
