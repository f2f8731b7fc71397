"""How fast a device computes, measured in a moment: for estimates of time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..api.architectures import Precision
from ..runtime.devices import autocast

ROUNDS = 3  # of each measurement, of which the fastest counts


@dataclass(frozen=True)
class Speed:
    """What a device does in a second."""

    operations: float  # of a convolution, forward and back
    moved: float  # bytes that a layer without a product reads and writes

    def seconds(self, operations: float, moved: float) -> float:
        """Return the time that so many operations and bytes take."""
        return operations / self.operations + moved / self.moved


def measure_speed(device: torch.device, precision: Precision) -> Speed:
    """Time one convolution of 64 channels, and one layer without a product, on `device`."""
    images = 64 if device.type == "cuda" else 8
    x = torch.rand(images, 64, 64, 64, device=device, requires_grad=True)
    weight = torch.rand(64, 64, 3, 3, device=device, requires_grad=True)

    def convolve() -> None:
        with autocast(device, precision):
            y = F.conv2d(x, weight, padding=1)
        y.sum().backward()

    operations = 6 * 9 * 64 * x.numel()  # two for each weight and value, three times
    with torch.no_grad():
        moved = 2 * x.nbytes / time_rounds(device, lambda: torch.sigmoid(x))
    return Speed(operations / time_rounds(device, convolve), moved)


def time_rounds(device: torch.device, run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the seconds of the fastest of some calls of `run`, after one that does not count."""
    seconds = []
    for _ in range(1 + rounds):
        begin = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])
