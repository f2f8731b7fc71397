"""Where in a photo lies a picture such as were taught: in the frame of most evidence.

A frame is [side, y, x]: its side and its middle, as shares of the photo's square.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from .gaussian import Gaussian

USUAL = (  # frames of aligned faces:
    (1.0, 0.5, 0.5),  # crops of CelebA are as what was taught,
    (0.71, 0.6, 0.5),  # CelebA-HQ and FFHQ are looser; so are all that are aligned like them
)
SIDES = (1.1, 0.95, 0.8, 0.68, 0.57, 0.47, 0.38, 0.3, 0.24)  # of frames tried where these fail,
STEP = 0.12  # of a frame's side, between two of a size,
KEPT = 3  # that are looked at closer,
CLOSER = (0.07, 0.035)  # by so much of their side
PLACES = 20.0  # odds that the best of so many frames has by chance
TRUST = 0.1  # in odds, as neighbouring cells say much the same
NONE = -15.0  # odds under which no frame is believed
NEGLIGIBLE = 0.03  # a frame's share of the fill
PIXELS = 4  # a cell's side, where a frame is looked at


def views(canvas: Tensor, frames: Tensor, size: int, beyond: str = "zeros") -> Tensor:
    """What each of `frames` [K, 3] shows of `canvas` [1 or K, C, H, H]: [K, C, size, size]."""
    side, y, x = frames.unbind(1)
    zero = torch.zeros_like(side)
    rows = torch.stack([side, zero, 2 * x - 1, zero, side, 2 * y - 1], dim=1).view(-1, 2, 3)
    shape = [len(frames), canvas.shape[1], size, size]
    grid = F.affine_grid(rows, shape, align_corners=False)
    canvas = canvas.expand(len(frames), *canvas.shape[1:])
    return F.grid_sample(canvas, grid, padding_mode=beyond, align_corners=False)


def cells(canvas: Tensor, frames: Tensor, side: int, beyond: str = "zeros") -> Tensor:
    """The same as means of side x side cells."""
    return F.avg_pool2d(views(canvas, frames, PIXELS * side, beyond), PIXELS)


def inverse(frame: Tensor) -> Tensor:
    """The frame that the whole photo is, seen from `frame` [3]."""
    side, y, x = frame
    return torch.stack([1 / side, 0.5 + (0.5 - y) / side, 0.5 + (0.5 - x) / side])


def find(
    seen: Tensor, share: Tensor, taught: Gaussian, elsewhere: Gaussian, noise: float
) -> tuple[Tensor, Tensor]:
    """Frames [K, 3], and the odds [K] for each: logarithms of how much likelier it is than none.

    They are how likely cells are as a picture that was taught, against as one from `elsewhere`.
    `seen` [1, 3, H, H] is 0 where `share` [1, 1, H, H] is, and times it. First the usual frames
    are looked at, and others where these do not explain it.
    """
    canvas = torch.cat([seen, share], dim=1)

    @one_thread()
    def odds(frames: Tensor, a: Gaussian, b: Gaussian) -> Tensor:
        found = []
        for part in frames.split(128):
            shown = cells(canvas, part, a.side)
            shares = shown[:, 3:]
            colours = shown[:, :3] / shares.clamp(min=1e-6)
            found.append(
                a.likelihood(colours, shares, noise) - b.likelihood(colours, shares, noise)
            )
        return torch.cat(found)

    frames, fine = seen.new_tensor(USUAL), (taught.smaller(elsewhere.side), elsewhere)
    found = odds(frames, *fine)
    if found.max() > PLACES:
        return frames, found
    near = torch.cat(list(tried())).to(seen)
    coarse = (gaussian.smaller(elsewhere.side // 2) for gaussian in fine)
    near = near[odds(near, *coarse).topk(KEPT).indices]
    for step in CLOSER:
        near = around(near, step)
        near = near[odds(near, *fine).topk(1).indices]
    return torch.cat([frames, near]), torch.cat([found, odds(near, *fine) - PLACES])


@contextmanager
def one_thread() -> Iterator[None]:
    """Many small systems are solved faster by one: several wait for each other at each of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def believed(odds: Tensor) -> Tensor:
    """How much each frame says of a fill: [K], in all 1, or 0 where no face seems to be there."""
    if odds.max() < NONE:
        return torch.zeros_like(odds)
    weights = torch.softmax(TRUST * odds, dim=0)
    weights = weights * (weights > NEGLIGIBLE)
    return weights / weights.sum()


def tried() -> Iterator[Tensor]:
    """Frames [K, 3] of every size, at places that leave little of them outside."""
    for side in SIDES:
        room = max(0.0, 1 - side) / 2 + side * STEP / 2
        count = round(2 * room / (side * STEP)) + 1
        places = torch.linspace(0.5 - room, 0.5 + room, count)
        y, x = torch.meshgrid(places, places, indexing="ij")
        yield torch.stack([torch.full_like(y, side), y, x], dim=-1).view(-1, 3)


def around(frames: Tensor, step: float) -> Tensor:
    """`frames` [K, 3] and those beside them [27 K, 3], by `step` of their side."""
    shift = torch.cartesian_prod(*[torch.tensor([-step, 0.0, step])] * 3).to(frames)
    side, middle = frames[:, None, :1], frames[:, None, 1:]
    return torch.cat([side * shift[:, :1].exp(), middle + side * shift[:, 1:]], dim=2).view(-1, 3)


def anywhere(count: int) -> Tensor:
    """Frames [count, 3] drawn from all over a picture, of a quarter to 4/3 of its side."""
    side = (16 / 3) ** torch.rand(count) / 4
    room = (1 - side).abs()
    y, x = 0.5 + room * (torch.rand(2, count) - 0.5)
    return torch.stack([side, y, x], dim=1)
