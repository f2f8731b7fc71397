"""Matrix products whose bits do not depend on the number of threads."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TILE = 32  # rows of a product that are multiplied at once
LIMIT = 2**18  # multiplications up to which OpenBLAS stays on one thread


def multiply(left: Floats, right: Floats) -> Floats:
    """Return `left` [M, D] times `right` [D, N], put together from small products.

    A large one is shared among threads, and their number then changes the order of its sums.
    """
    depth, width = right.shape
    product = np.empty((len(left), width), np.float32)
    whole = len(left) // TILE * TILE
    tiles = left[:whole].reshape(-1, TILE, depth)
    tiled = product[:whole].reshape(-1, TILE, width)
    for columns in bands(width, LIMIT // (TILE * depth)):
        np.matmul(tiles, right[:, columns], out=tiled[..., columns])
        np.matmul(left[whole:], right[:, columns], out=product[whole:, columns])
    return product


def bands(length: int, size: int) -> list[slice]:
    """Slices of at most `size` that cover `length`."""
    return [slice(start, start + size) for start in range(0, length, size)]
