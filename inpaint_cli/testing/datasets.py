"""Check of a data set."""

import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from .. import registry
from ..api.datasets import Dataset
from ..datasets.collection import decode_image
from ..errors import DataError, InpaintError
from .errors import expect_error


def check_dataset(name: str, root: Path, settings: Mapping[str, Any] | None = None) -> None:
    """Check that the data set `name` reads the images at `root`, always in the same order.

    `root` is what a user would give as --data, with a few images.
    """
    dataset: Dataset = registry.load_plugin("datasets", name).model_validate(settings or {})
    names = dataset.names(root)
    assert names, f"it finds no image in {root}"
    assert len(set(names)) == len(names), "it names an image twice"
    for backwards in (False, True):
        with order_listings(backwards=backwards):
            again = pickle.loads(pickle.dumps(dataset)).names(root)  # as another process does
        assert again == names, "the order of its names changes with that of folder listings"
    for image in names:
        try:
            decode_image(dataset.read(root, image), image)
        except InpaintError as error:
            raise AssertionError(f"what it reads of '{image}' is no image: {error}") from error
        mapped = dataset.label_map(root, image) is not None
        assert dataset.has_label_map(root, image) == mapped, f"'{image}': has_label_map is wrong"
    with TemporaryDirectory() as folder, expect_error(DataError, "an empty folder"):
        dataset.names(Path(folder))


check_images = check_dataset  # as 0.1 called it


@contextmanager
def order_listings(*, backwards: bool) -> Iterator[None]:
    """Make folders list their files by name or in reverse, as systems differ."""
    scandir = os.scandir

    class Entries(Iterator[os.DirEntry[str]]):
        def __init__(self, path: Any = ".") -> None:
            with scandir(path) as entries:
                self.left = sorted(entries, key=lambda entry: entry.name, reverse=not backwards)

        def __next__(self) -> os.DirEntry[str]:
            if not self.left:
                raise StopIteration
            return self.left.pop()

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def listdir(path: Any = ".") -> list[str]:
        return [entry.name for entry in Entries(path)]

    with patch("os.scandir", Entries), patch("os.listdir", listdir):
        yield
