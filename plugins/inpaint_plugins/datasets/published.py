"""Published data sets, each with the splits that the literature reports on.

`root` is a folder, zip file or list that holds the whole set, as its authors distribute it or among
other files: images are found by their names, and counted.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt

from inpaint_cli.api import DataError

from .celebamask import find_label_parts, merge_label_parts
from .files import StoredFiles, list_files, natural_order, read_stored

Split = Annotated[Literal["train", "val", "test"], Field(description="Official split to use.")]
CELEBA_SPANS = {"train": range(1, 162_771), "val": range(162_771, 182_638),
                "test": range(182_638, 202_600)}  # fmt: skip


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
        known = self.index_names(root, names, image_number)
        return self.check_count(root, [known[n] for n in span if n in known], len(span))

    def index_names(
        self, root: Path, names: Iterable[str], key: Callable[[str], Hashable | None]
    ) -> dict[Hashable, str]:
        """Return `names` by their keys, without those whose key is None.

        Raises `DataError` if two names have one key, for then one image would be lost.
        """
        known: dict[Hashable, str] = {}
        for name in names:
            number = key(name)
            if number is not None and known.setdefault(number, name) != name:
                raise DataError(
                    f"{root} has image {number} of {self.title} twice: {known[number]} and {name}; "
                    "leave only one there, or if one of them is a label map, set data.train.labels"
                )
        return known


def image_number(name: str) -> int | None:
    """Return the number that a file is named by, if it is."""
    stem = PurePosixPath(name).stem
    return int(stem) if stem.isdecimal() else None


def image_stem(name: str) -> str:
    """Return a file's name without folder and suffix."""
    return PurePosixPath(name).stem


def random_order(keys: Iterable[Hashable]) -> list[Hashable]:
    """Return `keys` in a random order, which is the same on every machine for all time."""
    return sorted(keys, key=lambda key: hashlib.sha256(str(key).encode()).digest())


class CelebAHQ(Published):
    """CelebA-HQ: 30,000 faces, with the label maps of CelebAMask-HQ if they are there."""

    title = "CelebA-HQ"
    licence = "non-commercial research only (CelebA's terms)"
    partition: Literal["numbers", "random", "celeba"] = Field(
        default="numbers",
        description="Rule of the split: the numbers 28,000 to 29,999 for validation (numbers, as "
        "in MDRNets); 3,000 drawn at random (random, as in GM-SRM, whose draw is not published); "
        "or the 2,824 that are in CelebA's test set by CelebA-HQ-to-CelebA-mapping.txt, which "
        "stands beside the images (celeba, which fits the 27,000 and 2,800 of SPN-P).",
    )

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        every = self.select_numbers(root, names, range(30_000))
        held = self.held_numbers(root)
        return [name for n, name in enumerate(every) if (n in held) == (self.split == "val")]

    def held_numbers(self, root: Path) -> set[Hashable]:
        """Return the numbers of the images for validation."""
        if self.partition == "numbers":
            return set(range(28_000, 30_000))
        if self.partition == "random":
            return set(random_order(range(30_000))[:3_000])
        return {n for n, number in celeba_numbers(root).items() if number in CELEBA_SPANS["test"]}

    def has_label_map(self, root: Path, name: str) -> bool:
        return super().has_label_map(root, name) or bool(self.label_parts(root, name))

    def label_map(self, root: Path, name: str) -> bytes | None:
        if parts := self.label_parts(root, name):
            return merge_label_parts(root, parts)
        return super().label_map(root, name)

    def label_parts(self, root: Path, name: str) -> dict[str, str]:
        """Return the files of an image's classes; none if `labels` says where the maps are."""
        number = image_number(name)
        return {} if self.labels or number is None else find_label_parts(root).get(number, {})


def celeba_numbers(root: Path) -> dict[int, int]:
    """Return the number in CelebA of each image of CelebA-HQ, from the list beside the images."""
    title = "CelebA-HQ-to-CelebA-mapping.txt"
    files = [name for name in list_files(root) if PurePosixPath(name).name == title]
    if not files:
        raise DataError(f"{root} has no {title}; put it there, it comes with CelebAMask-HQ")
    lines = read_stored(root, files[0]).decode("utf-8", "replace").splitlines()
    rows = [line.split() for line in lines]  # index in CelebA-HQ, index in CelebA, its file
    numbers = {
        int(row[0]): int(PurePosixPath(row[2]).stem)
        for row in rows
        if len(row) == 3 and row[0].isdecimal() and PurePosixPath(row[2]).stem.isdecimal()
    }
    if numbers.keys() != set(range(30_000)):
        raise DataError(f"{files[0]} has {len(numbers):,} lines 'index index file', not 30,000; "
                        "get it again")  # fmt: skip
    return numbers


class FFHQ(Published):
    """FFHQ: 70,000 faces."""

    title = "FFHQ"
    licence = "CC BY-NC-SA 4.0"
    partition: Literal["last-2000", "official"] = Field(
        default="last-2000",
        description="Rule of the split: the last 2,000 for validation (as in MDRNets), or the "
        "last 10,000, as its authors say (official).",
    )

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        every = self.select_numbers(root, names, range(70_000))
        border = 60_000 if self.partition == "official" else 68_000
        return list(every[:border] if self.split == "train" else every[border:])


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
            chosen, count = sorted(words.keys() - val, key=natural_order), 14_900
        else:
            chosen, count = [n for n in val if "corrupted" not in words[n]], 100
        self.index_names(root, chosen, image_stem)
        return list(self.check_count(root, chosen, count))


class Places2(Published):
    """Places2 (Places365): 1,803,460 scenes and the 36,500 of the validation set, or categories."""

    title = "Places2"
    licence = "research and education only"
    categories: tuple[str, ...] = Field(
        default=(),
        description="Categories to use, such as airfield or apartment_building/outdoor, with as "
        "many images as there are; empty: all, with the official validation set.",
    )
    hold: NonNegativeInt = Field(
        default=1500,
        description="Images of each of the `categories` that are held out for the split val, "
        "drawn at random.",
    )

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        val = [n for n in names if PurePosixPath(n).name.startswith("Places365_val_")]
        if self.split == "val" and not self.categories:
            self.index_names(root, val, image_stem)
            return list(self.check_count(root, val, 36_500))
        test = [n for n in names if PurePosixPath(n).name.startswith("Places365_test_")]
        others = {*val, *test}
        train = [n for n in names if n not in others]
        if self.categories:
            return [n for c in self.categories for n in self.select_category(root, train, c)]
        self.index_names(root, train, scene_place)
        return list(self.check_count(root, train, 1_803_460))

    def select_category(self, root: Path, names: Sequence[str], category: str) -> list[str]:
        """Return the images of a category that are in the split."""
        folder = "/" + re.sub(r"^[a-z]/", "", category.strip("/"))
        own = [n for n in names if f"/{PurePosixPath(n).parent}".endswith(folder)]
        stems = self.index_names(root, own, image_stem)
        if len(own) <= self.hold:
            raise DataError(
                f"{root} has {len(own):,} images of the category {category}, of which {self.hold:,}"
                " are to be held out; check its name, or set a lower data.train.hold"
            )
        held = set(random_order(stems)[: self.hold])
        return [n for n in own if (image_stem(n) in held) == (self.split == "val")]


def scene_place(name: str) -> str:
    """Return the place of a scene below the folders a to z of its category, without suffix."""
    path = PurePosixPath(name)
    letters = [n for n, part in enumerate(path.parts) if re.fullmatch("[a-z]", part)]
    return str(PurePosixPath(*path.parts[letters[-1] if letters else 0 :]).with_suffix(""))


class CelebA(Published):
    """CelebA: 162,770 faces for training, 19,867 for validation, 19,962 for test, by number."""

    title = "CelebA"
    licence = "non-commercial research only"
    split: Split = "train"  # type: ignore[assignment]

    def select(self, root: Path, names: Sequence[str]) -> list[str]:
        return list(self.select_numbers(root, names, CELEBA_SPANS[self.split]))
