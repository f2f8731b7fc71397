"""Decode the images of a data set and bring them to a size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..api.datasets import Dataset
from ..errors import DataError, ImageError
from ..images import read_photo, to_bytes
from ..images.photo import Hole
from ..images.read import open_image, upright_size
from ..recipe.schema import Resize
from ..wording import name_some

Shape = tuple[int, int]  # height, width
LABELS_CHECKED = 8  # label maps that are looked at before a training
JPEG = b"\xff\xd8"  # how such a file begins
REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)
OPENCV_FILTERS = {"opencv": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}


@dataclass(frozen=True)
class Collection:
    """The images of a data set at a path."""

    images: Dataset
    root: Path
    names: Sequence[str]

    @classmethod
    def at(cls, images: Dataset, root: Path) -> "Collection":
        """List the images at `root`. Raises `DataError` if there are none."""
        return cls(images, root, images.names(root))

    def labelled(self, classes: Sequence[str] = ()) -> "Collection":
        """Return the images with a label map, after a look at a few of the maps.

        Raises `DataError` if there is none, or one is no map of numbers, those of `classes` if any.
        """
        names = [n for n in self.names if self.images.has_label_map(self.root, n)]
        if not names:
            raise DataError(
                f"{self.root} has no label maps, which this training needs; put them beside the "
                "images and set their names with --set data.train.labels='{}.png'"
            )
        found = replace(self, names=names)
        for index in np.linspace(0, len(names) - 1, LABELS_CHECKED, dtype=int).tolist():
            found.labels(index, found.shape(index), classes)
        return found

    def labels(self, index: int, shape: Shape, classes: Sequence[str] = ()) -> Tensor:
        """Return the label map of an image, uint8 [1, H, W], scaled to the image's `shape`.

        Raises `DataError` if it is not an 8-bit gray or palette picture, or if it has a class
        beyond those that `classes` names, if any.
        """
        name = self.names[index]
        data = self.images.label_map(self.root, name)
        with open_image(data or b"", f"the label map of {name}") as image:
            if image.mode not in ("P", "L"):
                raise DataError(
                    f"the label map of {name} has mode {image.mode}, not class numbers; "
                    "store it as an 8-bit gray or palette PNG"
                )
            numbers = torch.from_numpy(np.array(image))[None]
        if classes and (highest := int(numbers.max())) >= len(classes):
            raise DataError(
                f"the label map of {name} has class {highest}, but the classes are 0 to "
                f"{len(classes) - 1}; check data.train.labels, and the setting of the task for the "
                "maps' data set"
            )
        return scale_image(numbers, shape, "labels")

    def decode(self, index: int, *, enough: float = math.inf) -> Tensor:
        """Return an image as uint8 [3, H, W], upright. Raises `ImageError` if it is damaged.

        Where pixels are fully transparent there is a fourth channel; see `split_hidden`.
        """
        name = self.names[index]
        return decode_image(self.images.read(self.root, name), name, enough=enough)

    def shape(self, index: int) -> Shape:
        """Return the height and width of an image, from its header."""
        name = self.names[index]
        with open_image(self.images.read(self.root, name), name) as image:
            return upright_size(image)


def describe_skipped(dataset: Dataset, root: Path) -> str | None:
    """Return a sentence about the files at `root` that are no pictures; None if all are.

    For example "3 files in photos are not pictures: a.txt, b.md, c.csv".
    """
    names = dataset.skipped(root)
    if not names:
        return None
    verb = "file in {} is not a picture" if len(names) == 1 else "files in {} are not pictures"
    return f"{len(names)} {verb.format(root)}: {name_some(names)}"


def decode_image(data: bytes, name: str, *, enough: float = math.inf) -> Tensor:
    """Return the image in the file `data` as uint8 [3, H, W], upright.

    Where pixels are fully transparent they get the nearest visible colour, and a fourth channel
    is 0 there and 255 elsewhere.
    A JPEG is decoded at a half, a quarter or an eighth of its size if its shorter side then has at
    least `enough` pixels. Raises `ImageError` if the file is damaged.
    """
    with open_image(data, name) as image:
        opaque = image.mode in ("RGB", "L") and "transparency" not in image.info
        known, side = opaque and is_whole_file(data), min(image.size)
    if known:
        jpeg = data[:2] == JPEG
        flag = next((f for n, f in REDUCED if jpeg and side // n >= enough), cv2.IMREAD_COLOR)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if pixels is not None:
            return torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
    photo = read_photo(data, name=name)
    rgb, hidden = to_bytes(photo.rgb), photo.hidden(slice(None))
    if hidden.any():
        rgb = np.dstack([spread_colours(rgb, hidden, name), np.uint8(255) * ~hidden])
    return torch.from_numpy(rgb).permute(2, 0, 1)


def spread_colours(rgb: NDArray[np.uint8], hidden: Hole, name: str) -> NDArray[np.uint8]:
    """Return `rgb` [H, W, 3] with the nearest visible colour wherever it is `hidden` [H, W]."""
    if hidden.all():
        raise ImageError(f"{name} is fully transparent; leave it out")
    _, found = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(found, np.intp)
    colours = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    colours[labels[~hidden]] = rgb[~hidden]
    return colours[labels]


def split_hidden(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the colours [3, H, W] of a decoded image, and where they mean nothing, [1, H, W]."""
    colours, opacity = image[:3], image[3:]
    return colours, opacity < 128 if len(opacity) else torch.zeros_like(image[:1]).bool()


def is_whole_file(data: bytes) -> bool:
    """Whether `data` is complete, and of a kind that OpenCV decodes to the same bits as Pillow."""
    if data[:2] == JPEG:
        return data[-2:] == b"\xff\xd9"
    eight_bit = data[:8] == b"\x89PNG\r\n\x1a\n" and data[24] == 8
    return eight_bit and data[-8:-4] == b"IEND" and b"eXIf" not in data


def place_image(
    image: Tensor,
    shape: Shape,
    fit: str,
    *,
    zoom: float = 1.0,
    at: Sequence[float] = (0.5, 0.5),
    flip: bool = False,
    resize: Resize | Literal["labels"] = "antialias",
) -> Tensor:
    """Return `image` at `shape`; `at` places the crop, from 0 (top, left) to 1 (bottom, right).

    With a `zoom` under 1 the image is smaller than `shape`, and mirrored to fill it.
    """
    if fit == "stretch":
        image = scale_image(image, shape, resize)
    else:
        height, width = image.shape[-2:]
        cover = max(shape[0] / height, shape[1] / width)
        scale = max(cover, 1.0) if fit == "native" else cover * zoom
        size = round(height * scale), round(width * scale)
        if zoom >= 1:  # despite rounding
            size = max(shape[0], size[0]), max(shape[1], size[1])
        image = scale_image(image, size, resize)
        y, x = (round(a * (s - t)) for a, s, t in zip(at, size, shape, strict=True))
        if y < 0 or x < 0:
            right, bottom = shape[1] - size[1] + x, shape[0] - size[0] + y
            margins = [max(margin, 0) for margin in (-x, right, -y, bottom)]
            image = F.pad(image, margins, "reflect")
            y, x = max(y, 0), max(x, 0)
        image = image[:, y : y + shape[0], x : x + shape[1]]
    return image.flip(-1) if flip else image


def scale_image(
    image: Tensor, shape: Shape, how: Resize | Literal["labels"] = "antialias"
) -> Tensor:
    """Scale `image`, uint8 [C, H, W], to `shape`, by default with an antialiased bilinear filter.

    "opencv" and "nearest" are `cv2.resize`; "labels" takes the pixel nearest to each centre.
    """
    if image.shape[-2:] == shape:
        return image
    if how in OPENCV_FILTERS:
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        scaled = cv2.resize(pixels, shape[::-1], interpolation=OPENCV_FILTERS[how])
        return torch.from_numpy(scaled.reshape(*shape, -1)).permute(2, 0, 1).contiguous()
    # the stride of a batch tells torch to keep the order of the bytes, which saves a copy
    batch = image.as_strided((1, *image.shape), (image.numel(), *image.stride()))
    if how == "labels":
        return F.interpolate(batch, shape, mode="nearest-exact")[0]
    return F.interpolate(batch, shape, mode="bilinear", antialias=True)[0]
