"""Where in a photo lies a picture like those learned from: in the frame with most evidence.

A frame is [side, y, x]: its side and its middle, as shares of the photo's square.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from .gaussian import Gaussian

WHOLE = (1.0, 0.5, 0.5)
USUAL = (  # frames of aligned faces, tried first
    WHOLE,  # the crop of CelebA, which is learned from
    (0.71, 0.6, 0.5),  # the looser crop of CelebA-HQ and FFHQ
)
SIDES = (1.1, 0.95, 0.8, 0.68, 0.57, 0.47, 0.38, 0.3, 0.24)  # of frames tried in a search
STEP = 0.12  # between neighbouring frames of a search, as a share of their side
KEPT = 3  # frames of a search that are refined
CLOSER = (0.07, 0.035)  # steps of the refinement, as shares of a frame's side
PLACES = 20.0  # log odds that the best frame of a search reaches by chance
TRUST = 0.1  # factor of log odds, because neighbouring cells say much the same
NONE = -15.0  # log odds below which no frame is believed
NEGLIGIBLE = 0.03  # weight below which a frame is left out of the fill
PIXELS = 4  # pixels a side of a cell when a frame is looked at


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
    """What `views` shows, as the means of side x side cells."""
    return F.avg_pool2d(views(canvas, frames, PIXELS * side, beyond), PIXELS)


def within(part: Tensor, frame: Tensor) -> Tensor:
    """A `part` [3] of a photo as a frame of what `frame` [3] of it shows."""
    return torch.cat([part[:1], part[1:] - frame[1:] + frame[0] / 2]) / frame[0]


def find(
    seen: Tensor, share: Tensor, taught: Gaussian, elsewhere: Gaussian, noise: float
) -> tuple[Tensor, Tensor]:
    """Frames [K, 3], and the log odds [K] that each shows such a picture rather than none.

    They compare how likely a frame's cells are under `taught` and under `elsewhere`. `seen`
    [1, 3, H, H] is already multiplied by `share` [1, 1, H, H], how much of each pixel is visible.
    The usual frames are tried first; others are searched only where these explain too little.
    """
    canvas = torch.cat([seen, share], dim=1)

    @one_thread()
    def log_odds(frames: Tensor, a: Gaussian, b: Gaussian) -> Tensor:
        found = []
        for part in frames.split(128):
            shown = cells(canvas, part, a.side)
            shares = shown[:, 3:]
            colours = shown[:, :3] / shares.clamp(min=1e-6)
            one, other = (g.log_likelihood(colours, shares, noise) for g in (a, b))
            found.append(one - other)
        return torch.cat(found)

    frames, fine = seen.new_tensor(USUAL), (taught.smaller(elsewhere.side), elsewhere)
    found = log_odds(frames, *fine)
    if found.max() > PLACES:
        return frames, found
    near = torch.cat(list(tried())).to(seen)
    coarse = (gaussian.smaller(elsewhere.side // 2) for gaussian in fine)
    near = near[log_odds(near, *coarse).topk(KEPT).indices]
    for step in CLOSER:
        near = around(near, step)
        near = near[log_odds(near, *fine).topk(1).indices]
    return torch.cat([frames, near]), torch.cat([found, log_odds(near, *fine) - PLACES])


@contextmanager
def one_thread() -> Iterator[None]:
    """Work in one thread: over many small systems, several would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def believed(log_odds: Tensor) -> Tensor:
    """Each frame's weight [K] in the fill: their sum is 1, or 0 where there seems to be no face."""
    if log_odds.max() < NONE:
        return torch.zeros_like(log_odds)
    weights = torch.softmax(TRUST * log_odds, dim=0)
    weights = weights * (weights > NEGLIGIBLE)
    return weights / weights.sum()


def tried() -> Iterator[Tensor]:
    """Frames [K, 3] of each size, where little of them lies outside the photo."""
    for side in SIDES:
        room = max(0.0, 1 - side) / 2 + side * STEP / 2
        count = round(2 * room / (side * STEP)) + 1
        places = torch.linspace(0.5 - room, 0.5 + room, count)
        y, x = torch.meshgrid(places, places, indexing="ij")
        yield torch.stack([torch.full_like(y, side), y, x], dim=-1).view(-1, 3)


def around(frames: Tensor, step: float) -> Tensor:
    """`frames` [K, 3] and their neighbours, [27 K, 3]: `step` apart, as a share of their side."""
    shift = torch.cartesian_prod(*[torch.tensor([-step, 0.0, step])] * 3).to(frames)
    side, middle = frames[:, None, :1], frames[:, None, 1:]
    return torch.cat([side * shift[:, :1].exp(), middle + side * shift[:, 1:]], dim=2).view(-1, 3)


def anywhere(count: int) -> Tensor:
    """Random frames [count, 3] anywhere in a picture, of a quarter to 4/3 of its side."""
    side = (16 / 3) ** torch.rand(count) / 4
    room = (1 - side).abs()
    y, x = 0.5 + room * (torch.rand(2, count) - 0.5)
    return torch.stack([side, y, x], dim=1)
