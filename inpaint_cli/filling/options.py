"""How to fill, as plain values: made without torch, stored as JSON, sent to other processes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FillOptions:
    """How to fill, but for the photo, the mask and the model."""

    alpha: bool = False  # transparent pixels are hole too, and opaque when filled
    regions: Sequence[tuple[int, int, int, int]] = ()  # x, y, width, height, added to the mask
    threshold: int = 128  # levels of the mask from which it is hole
    invert: bool = False
    resize: bool = False  # a mask of another size
    grow: int = 0  # pixels
    feather: int = 0  # pixels over which the fill fades in, inside the grown band only
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    window: int | None = None  # pixels a side at most; None: what the model is made for

    def to_dict(self) -> dict[str, Any]:
        """For JSON and YAML; `Options(**d)` is the way back."""
        return asdict(self)
