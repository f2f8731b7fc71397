"""The contract of data sets, sources of images. Imports no torch."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from .settings import Settings


class Dataset(Settings, ABC):
    """A list of images; its fields are its settings in a recipe.

    The place of the images is not a setting: it is the path that the user typed, so that a recipe
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
        """Return the bytes of the file of the image `name`, encoded as they are.

        Called from several processes at once.
        """

    def label_map(self, root: Path, name: str) -> bytes | None:
        """The file of its label map, a picture of class numbers; None where it has none."""
        return None
