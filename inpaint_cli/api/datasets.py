"""What a plugin implements to add a source of images. No torch."""

from abc import ABC, abstractmethod
from pathlib import Path

from PIL.Image import Image

from .settings import Settings


class Images(Settings, ABC):
    """A list of images; its fields are its settings in a recipe.

    Where the images lie is not a setting: `open` is given the path that the user typed, so that
    a recipe holds on every machine.
    """

    @abstractmethod
    def names(self, root: Path) -> list[str]:
        """The names of all images below `root`, in an order that never changes."""

    @abstractmethod
    def read(self, root: Path, name: str) -> Image:
        """The image called `name`."""
