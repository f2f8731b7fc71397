"""The base of all settings, where plugins of version 0.1 import it from."""

from ..settings import Settings

__all__ = ["Settings"]
