"""Published data sets, each with the split that the literature reports on.

`root` is a folder, zip file or list that holds the whole set, as its authors distribute it or among
other files: images are found by their names, and counted.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from inpaint_cli.api import DataError

from .files import StoredFiles, natural_order

Split = Annotated[Literal["train", "val", "test"], Field(description="Official split to use.")]


class Published(StoredFiles):
    """A data set whose images are counted and split by rule."""

    title: ClassVar[str]
    split: Literal["train", "val"] = Field(default="train", description="Official split to use.")

    def names(self, root: Path) -> list[str]:
        return self.select(root, self.image_names(root))

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        """Return those of `names` that are in the split."""
        raise NotImplementedError

    def check_count(self, root: Path, names: Sequence[str], count: int) -> Sequence[str]:
        """Return `names`; raises `DataError` unless there are `count`, as in the complete set."""
        if len(names) == count:
            return names
        raise DataError(
            f"{root} has {len(names):,} images of {self.title}, but the data set has {count:,}; "
            "complete it, or train on the images that are there with --set data.train.kind=files"
        )

    def select_numbers(self, root: Path, names: Sequence[str], span: range) -> Sequence[str]:
        """Return the images named by the numbers of `span`, in that order; leading zeros are ok."""
        numbers = {int(s): n for n in names if (s := PurePosixPath(n).stem).isdecimal()}
        return self.check_count(root, [numbers[n] for n in span if n in numbers], len(span))


class CelebAHQ(Published):
    """CelebA-HQ: 30,000 faces, numbers 28,000 to 29,999 for validation."""

    title = "CelebA-HQ"
    licence = "non-commercial research only (CelebA's terms)"

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        every = self.select_numbers(root, names, range(30_000))
        return list(every[:28_000] if self.split == "train" else every[28_000:])


class FFHQ(Published):
    """FFHQ: 70,000 faces, the last 2,000 for validation."""

    title = "FFHQ"
    licence = "CC BY-NC-SA 4.0"

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        every = self.select_numbers(root, names, range(70_000))
        return list(every[:68_000] if self.split == "train" else every[68_000:])


class ParisStreetView(Published):
    """Paris StreetView: 14,900 street scenes for training, 100 for validation, in two folders."""

    title = "Paris StreetView"
    licence = "research only, on request from its authors"

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        words = {
            name: set(re.split(r"[^a-z]+", str(PurePosixPath(name).parent).lower()))
            for name in names
        }
        val = [n for n in names if words[n] & {"eval", "val", "test"}]
        if self.split == "train":
            train = sorted(words.keys() - val, key=natural_order)
            return list(self.check_count(root, train, 14_900))
        return list(self.check_count(root, [n for n in val if "corrupted" not in words[n]], 100))


class Places2(Published):
    """Places2 (Places365-Standard): 1,803,460 scenes, and the 36,500 of the validation set."""

    title = "Places2"
    licence = "research and education only"

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        val = [n for n in names if PurePosixPath(n).name.startswith("Places365_val_")]
        if self.split == "val":
            return list(self.check_count(root, val, 36_500))
        test = [n for n in names if PurePosixPath(n).name.startswith("Places365_test_")]
        others = {*val, *test}
        return list(self.check_count(root, [n for n in names if n not in others], 1_803_460))


class CelebA(Published):
    """CelebA: 162,770 faces for training, 19,867 for validation, 19,962 for test, by number."""

    title = "CelebA"
    licence = "non-commercial research only"
    split: Split = "train"  # type: ignore[assignment]

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        spans = {"train": (1, 162_771), "val": (162_771, 182_638), "test": (182_638, 202_600)}
        return list(self.select_numbers(root, names, range(*spans[self.split])))
