"""What a plugin implements to add a source of images. No torch."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from .settings import Settings


class Dataset(Settings, ABC):
    """A list of images; its fields are its settings in a recipe.

    Where the images lie is not a setting: it is the path that the user typed, so that a recipe
    holds on every machine.
    """

    licence: ClassVar[str] = ""  # of the images, which what is trained on them is bound by

    @abstractmethod
    def names(self, root: Path) -> list[str]:
        """The names of all images below `root`, in an order that never changes.

        Raises `DataError` where the images are not what the data set should hold.
        """

    @abstractmethod
    def read(self, root: Path, name: str) -> bytes:
        """The file of the image called `name`, as it lies there: the engine decodes it.

        Called from several processes at once.
        """

    def label_map(self, root: Path, name: str) -> bytes | None:
        """The file of its label map, a picture of class numbers; None where it has none."""
        return None
