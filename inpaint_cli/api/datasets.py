"""The contract of data sets, sources of images. Imports no torch."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from .settings import Settings


class Dataset(Settings, ABC):
    """A list of images; its fields are its settings in a recipe.

    The place of the images is not a setting but the path given to `--data`, so that a recipe holds
    on every machine.
    """

    licence: ClassVar[str] = ""  # of the images; it also binds what is trained on them

    @abstractmethod
    def names(self, root: Path) -> list[str]:
        """Return the names of all images below `root`, in an order that never changes.

        Raises `DataError` if the images are not those of the data set.
        """

    @abstractmethod
    def read(self, root: Path, name: str) -> bytes:
        """Return the content of the file of the image called `name`, not decoded.

        Called from several processes at once.
        """

    def label_map(self, root: Path, name: str) -> bytes | None:
        """Return the file of an image's label map, a picture of class numbers; None without one."""
        return None

    def has_label_map(self, root: Path, name: str) -> bool:
        """Whether an image has a label map; called for every image, so nothing should be read."""
        return self.label_map(root, name) is not None

    def skipped(self, root: Path) -> list[str]:
        """Return the names of the files below `root` that are not pictures, by their suffix."""
        return []
