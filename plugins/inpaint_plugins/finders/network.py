"""The small network that sees scratches and dust, run by OpenCV: no torch, no other package."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .align import Picture

Levels = NDArray[np.float32]  # [H, W]

WEIGHTS = Path(__file__).with_name("damage.onnx")  # what it learned from: see damage.md
STEP = 16  # sides are a multiple of it
BLURRED = 31  # pixels over which brightness is averaged: the fourth channel is the rest


def see_damage(rgb: Picture) -> NDArray[np.float32]:
    """Return how sure each pixel of `rgb` [H, W, 3] is scratch, and dust: logits [2, H, W].

    Both sides are `STEP` pixels at least. The network answers at half the size, for four pixels
    at once.
    """
    import cv2

    height, width = rgb.shape[:2]
    rows, columns = (-(-side // STEP) * STEP for side in (height, width))
    seen = np.pad(prepare(rgb), ((0, 0), (0, rows - height), (0, columns - width)), "reflect")
    network = cv2.dnn.readNetFromONNX(np.frombuffer(read_weights(), np.uint8))
    network.setInput(seen[None])
    quarters = np.asarray(network.forward(), np.float32).reshape(2, 2, 2, rows // 2, columns // 2)
    whole = quarters.transpose(0, 3, 1, 4, 2).reshape(2, rows, columns)
    return np.ascontiguousarray(whole[:, :height, :width])


@lru_cache(maxsize=1)
def read_weights() -> bytes:
    return WEIGHTS.read_bytes()


def prepare(rgb: Picture) -> NDArray[np.float32]:
    """Return what the network sees [4, H, W]: colours, and brightness less what is around."""
    import cv2

    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    rest = gray - cv2.blur(gray, (BLURRED, BLURRED))
    colours = rgb.transpose(2, 0, 1) / np.float32(127.5) - 1
    return np.concatenate([colours, rest[None] / 32]).astype(np.float32)
