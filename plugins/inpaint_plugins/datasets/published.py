"""Published data sets, each with the split that the literature reports on.

Each is given the folder, zip file or list that holds the whole set, as its authors hand it out or
with anything else around it: images are found by their names, and counted.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from inpaint_cli.api import DataError

from .files import Stored, natural


class Published(Stored):
    """A data set whose images are counted and split by rule."""

    title: ClassVar[str]
    split: Literal["train", "val"] = "train"

    def names(self, root: Path) -> list[str]:
        return self.part(root, self.pictures(root))

    def part(self, root: Path, names: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def counted(self, root: Path, names: Sequence[str], count: int) -> Sequence[str]:
        """`names`, if there are `count` of them; a part of a data set is not that data set."""
        if len(names) == count:
            return names
        raise DataError(
            f"{root} holds {len(names):,} images of {self.title} where {count:,} belong; complete "
            "it, or train on what is there with --set data.train.kind=files"
        )

    def numbered(self, root: Path, names: Sequence[str], span: range) -> Sequence[str]:
        """The images called by the numbers of `span`, in that order, with any leading zeros."""
        numbers = {int(s): n for n in names if (s := PurePosixPath(n).stem).isdecimal()}
        return self.counted(root, [numbers[n] for n in span if n in numbers], len(span))


class CelebAHQ(Published):
    """CelebA-HQ: 30,000 faces, numbers 28,000 to 29,999 for validation."""

    title = "CelebA-HQ"
    licence = "non-commercial research only (CelebA's terms)"

    def part(self, root: Path, names: Sequence[str]) -> list[str]:
        every = self.numbered(root, names, range(30_000))
        return list(every[:28_000] if self.split == "train" else every[28_000:])


class FFHQ(Published):
    """FFHQ: 70,000 faces, the last 2,000 for validation."""

    title = "FFHQ"
    licence = "CC BY-NC-SA 4.0"

    def part(self, root: Path, names: Sequence[str]) -> list[str]:
        every = self.numbered(root, names, range(70_000))
        return list(every[:68_000] if self.split == "train" else every[68_000:])


class ParisStreetView(Published):
    """Paris StreetView: 14,900 street scenes for training, 100 for validation, in two folders."""

    title = "Paris StreetView"
    licence = "research only, on request from its authors"

    def part(self, root: Path, names: Sequence[str]) -> list[str]:
        words = {
            name: set(re.split(r"[^a-z]+", str(PurePosixPath(name).parent).lower()))
            for name in names
        }
        held = [n for n in names if words[n] & {"eval", "val", "test"}]
        if self.split == "train":
            return list(self.counted(root, sorted(words.keys() - held, key=natural), 14_900))
        return list(self.counted(root, [n for n in held if "corrupted" not in words[n]], 100))


class Places2(Published):
    """Places2 (Places365-Standard): 1,803,460 scenes, and the 36,500 of the validation set."""

    title = "Places2"
    licence = "research and education only"

    def part(self, root: Path, names: Sequence[str]) -> list[str]:
        val = [n for n in names if PurePosixPath(n).name.startswith("Places365_val_")]
        if self.split == "val":
            return list(self.counted(root, val, 36_500))
        test = [n for n in names if PurePosixPath(n).name.startswith("Places365_test_")]
        taken = {*val, *test}
        return list(self.counted(root, [n for n in names if n not in taken], 1_803_460))


class CelebA(Published):
    """CelebA: 162,770 faces for training, 19,867 for validation, 19,962 for test, by number."""

    title = "CelebA"
    licence = "non-commercial research only"
    split: Literal["train", "val", "test"] = "train"  # type: ignore[assignment]

    def part(self, root: Path, names: Sequence[str]) -> list[str]:
        spans = {"train": (1, 162_771), "val": (162_771, 182_638), "test": (182_638, 202_600)}
        return list(self.numbered(root, names, range(*spans[self.split])))
