"""Options of a fill, as plain values: stored as JSON, sent to other processes."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Integral
from pathlib import Path
from typing import Any, TypedDict

from ..errors import DataError, InpaintError


class FillSettings(TypedDict, total=False):
    """The keywords that `fill` and its kin take; see `HoleOptions` and `RunOptions`."""

    regions: Sequence[tuple[int, int, int, int]]
    extend: Sequence[int | str]
    find: Sequence[str]
    find_limit: float | None
    threshold: int | None
    invert: bool
    resize: bool
    grow: int
    feather: int
    seed: int
    device: str
    precision: str
    window: int | None


@dataclass(frozen=True)
class HoleOptions:
    """The pixels of the hole besides those of a mask, and the treatment of its edge."""

    alpha: bool = False  # pixels that are not opaque are hole too, and opaque when filled
    regions: Sequence[tuple[int, int, int, int]] = ()  # x, y, width, height, added to the mask
    extend: Sequence[int | str] = ()  # left, top, right, bottom: pixels, or "10%" of that side
    find: Sequence[str] = ()  # finders whose masks are added: "text", "color:value=#ff8c1e"
    find_limit: float | None = None  # share of a photo above which a finder's mask is refused
    threshold: int | None = None  # 1 to 255: levels of the mask from it on, opacity below it
    invert: bool = False  # black marks the hole
    resize: bool = False  # a mask of another size is resized to the photo
    grow: int = 0  # pixels; negative: smaller
    feather: int = 0  # pixels over which the fill fades in, inside the band that `grow` adds

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_integer("threshold", self.threshold, 1, 255)
        check_integer("grow", self.grow, -LARGEST, LARGEST)
        check_integer("feather", self.feather, 0, LARGEST)
        if isinstance(self.find, str):
            raise InpaintError(f"find is {self.find!r}; give a list of finders")
        if self.find_limit is not None and not 0 < self.find_limit <= 1:
            raise InpaintError(f"find_limit is {self.find_limit}; give a share from 0 to 1")
        if self.alpha and (self.invert or self.resize):
            raise InpaintError("invert and resize are for a mask, not for the photo's own alpha")
        if len(self.extend):
            self.sides((1, 1))
        for region in self.regions:
            if len(region) != 4 or not all(isinstance(n, Integral) for n in region):
                raise InpaintError(f"region {region} is not x, y, width, height in whole pixels")

    def sides(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the pixels that a photo of (height, width) gains at left, top, right, bottom."""
        if not len(self.extend):
            return 0, 0, 0, 0
        reason = "give left,top,right,bottom in whole pixels or percent, such as 200,0,10%,0"
        if isinstance(self.extend, str) or len(self.extend) != 4:
            raise InpaintError(f"extend is {self.extend!r}; {reason}")
        left, top, right, bottom = (
            measure_side(value, length, reason)
            for value, length in zip(self.extend, (*size[::-1], *size[::-1]), strict=True)
        )
        return left, top, right, bottom


def measure_side(value: object, length: int, reason: str) -> int:
    """Return the pixels that `value` says, a count or a percentage of `length`, rounded up."""
    if isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) <= LARGEST:
        return int(value)
    number = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d{1,7}", number):
        return int(number)
    if re.fullmatch(r"\d{1,5}(\.\d{1,5})? ?%", number):
        return math.ceil(float(number.rstrip(" %")) / 100 * length)
    raise InpaintError(f"extend has {value!r}; {reason}")


@dataclass(frozen=True)
class RunOptions:
    """Options of running a model."""

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    window: int | None = None  # pixels a side at most; None: what the model is made for

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0, 2**63 - 1)
        if self.window is not None:
            check_integer("window", self.window, 16, LARGEST)


LARGEST = 1_000_000  # pixels that anything is asked to measure


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise `InpaintError` where `value` is no whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise InpaintError(f"{name} is {value!r}; give a whole number from {low} to {high}")


def split_settings(alpha: bool, settings: FillSettings) -> tuple[HoleOptions, RunOptions]:
    """Return the options of `settings`; a feathered fill grows the hole by as much."""
    own = {field.name for field in fields(RunOptions)}
    hole = {key: value for key, value in settings.items() if key not in own}
    if not hole.get("grow"):
        hole["grow"] = hole.get("feather", 0)
    run = {key: value for key, value in settings.items() if key in own}
    return HoleOptions(alpha=alpha, **hole), RunOptions(**run)  # pyright: ignore[reportArgumentType]


def check_marked(mask: Any, settings: FillSettings) -> None:
    """Raise `InpaintError` where nothing says where the hole is."""
    if mask is None and not any(settings.get(name) for name in ("regions", "find", "extend")):
        raise InpaintError(
            "nothing says where the hole is; give a mask, regions, finders or what to extend"
        )


def split_mask(mask: str | Path | None) -> tuple[Path | None, bool]:
    """Return the file or folder of masks, and whether the photo's own alpha marks the hole."""
    if mask is None or mask == "alpha":
        return None, mask is not None
    path = Path(mask)
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; check the name of the mask")
    return path, False


def options_to_dict(hole: HoleOptions, run: RunOptions) -> dict[str, Any]:
    """Return both as one flat mapping, as cards, ledgers and reports hold them."""
    return asdict(hole) | asdict(run)


def options_from_dict(values: Mapping[str, Any]) -> tuple[HoleOptions, RunOptions]:
    """Return the options of such a mapping; raises `ValueError` or `TypeError` where it is none."""
    from pydantic import TypeAdapter  # which a plain fill does without

    hole, run = (
        {field.name: values[field.name] for field in fields(options) if field.name in values}
        for options in (HoleOptions, RunOptions)
    )
    if unknown := values.keys() - hole.keys() - run.keys():
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    hole |= {name: tuple(hole.get(name, ())) for name in ("find", "extend")}  # JSON knows lists
    adapters = TypeAdapter(HoleOptions), TypeAdapter(RunOptions)
    return adapters[0].validate_python(hole), adapters[1].validate_python(run)
