from .masks import gen as command

__all__ = ["command"]
