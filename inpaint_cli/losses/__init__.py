"""Losses that tasks share: functions, and modules that hold a frozen network."""
