from .masks import gen_command as mask_gen_command

__all__ = ["mask_gen_command"]
