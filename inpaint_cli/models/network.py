"""Networks as fillers: the only place that knows devices, precision and out-of-memory errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..api.architectures import Architecture, Precision
from ..api.fillers import Fallback, Filler
from ..api.sizes import Sizes
from ..api.tensors import to_tensor
from ..runtime import devices
from ..runtime.seed import seed_torch
from .weights import StoredNetwork


@dataclass(frozen=True, eq=False)
class NetworkFiller(Filler):
    """A network on a device, in a precision in which its results are sound."""

    name: str
    net: nn.Module
    takes: Sizes
    device: torch.device
    precision: Precision
    stochastic: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]
    architecture: type[Architecture] | None = None  # None: another program's network

    @property
    def sizes(self) -> Sizes:
        return self.takes

    def fill(
        self, rgb: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """See `Filler.fill`. Falls back to full precision where a reduced one gives no numbers."""
        seed_torch(rng)
        try:
            with devices.choose_algorithms(), devices.autocast(self.device, self.precision):
                out = fill_tensors(self.net, self.sizes, *self.tensors(rgb, hole))
            filled = out[0].permute(1, 2, 0).float().cpu().numpy()
        except RuntimeError as error:
            if not devices.is_out_of_memory(error):
                raise
            devices.release_memory(self.device)
            raise MemoryError(f"{self.device}: {error}") from error
        if self.precision == "full" or np.isfinite(filled).all():
            return filled
        reason = f"{self.precision} gave values that are not finite; using full precision"
        raise Fallback(replace(self, precision="full"), reason)

    def explain(
        self, rgb: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator
    ) -> Sequence[tuple[Any, str]]:
        """Return what `Architecture.explain` shows of filling `rgb`: pictures with captions."""
        if self.architecture is None:
            return []
        seed_torch(rng)
        image, mask = self.tensors(rgb, hole)
        visible, area = (pad_to_size(t, self.sizes) for t in (image * (1 - mask), mask))
        with torch.inference_mode(), devices.autocast(self.device, self.precision):
            return self.architecture.explain(self.net, visible, area)

    def describe(self) -> Mapping[str, str]:
        return {"device": str(self.device), "precision": self.precision}

    def tensors(self, rgb: NDArray[Any], hole: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Return image [1, 3, H, W] and mask [1, 1, H, W] on the device."""
        image = to_tensor(rgb).to(self.device)
        return image, to_tensor(hole[..., None]).to(image)


def make_filler(
    network: StoredNetwork, *, device: str = "auto", precision: str = "auto"
) -> NetworkFiller:
    """Put `network` on the device called `device`.

    Raises `InpaintError` where there is no such device, or the results are not sound in
    `precision`.
    """
    place = devices.choose_device(device)
    if place.type == "cpu":
        devices.keep_freed_memory()
    exact = devices.choose_precision(precision, network.precisions, place)
    return NetworkFiller(
        network.name,
        network.net.to(place),
        network.sizes,
        place,
        exact,
        network.stochastic,
        network.architecture,
    )


@torch.inference_mode()
def fill_tensors(
    net: Callable[[Tensor, Tensor], Any], sizes: Sizes, image: Tensor, mask: Tensor
) -> Tensor:
    """Fill `image` [N, 3, H, W] where `mask` [N, 1, H, W] is over 1/2; the rest stays as it is.

    Both are continued to the right and below, mirrored where that reaches far enough, to a size
    that the network takes. The result is cut to 0..1; what is not finite comes back as NaN.
    """
    height, width = image.shape[-2:]
    mask = (mask > 0.5).to(image.dtype)
    known, hole = (pad_to_size(t, sizes) for t in (image * (1 - mask), mask))
    out = net(known, hole)
    picture = (out if isinstance(out, Tensor) else out[0])[..., :height, :width].to(image)
    sound = torch.where(picture.isfinite(), picture, torch.nan).clamp(0, 1)
    return torch.where(mask > 0, sound, image)


def pad_to_size(image: Tensor, sizes: Sizes) -> Tensor:
    """Pad `image` [N, C, H, W] on the right and below to a size that the network takes."""
    height, width = image.shape[-2:]
    rows, columns = sizes.fit(height, width)
    for extra, side in ((0, 0, 0, rows - height), height), ((0, columns - width, 0, 0), width):
        if any(extra):
            image = F.pad(image, extra, mode="reflect" if max(extra) < side else "replicate")
    return image
