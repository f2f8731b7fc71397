"""Search of a photo for a picture like those in the training data: the frame with most evidence.

A frame is [side, y, x]: its side and its centre, as shares of the square around the photo.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from .gaussian import PictureGaussian

WHOLE_FRAME = (1.0, 0.5, 0.5)
USUAL_FRAMES = (  # frames of aligned faces, tried first
    WHOLE_FRAME,  # the crop of CelebA, the training data
    (0.71, 0.6, 0.5),  # the looser crop of CelebA-HQ and FFHQ
)
SEARCH_SIDES = (1.1, 0.95, 0.8, 0.68, 0.57, 0.47, 0.38, 0.3, 0.24)  # of frames tried in a search
SEARCH_STEP = 0.12  # between neighbouring frames of a search, as a share of their side
REFINED_FRAMES = 3  # frames of a search that are refined
REFINE_STEPS = (0.07, 0.035)  # steps of the refinement, as shares of a frame's side
CHANCE_ODDS = 20.0  # log odds that the best frame of a search reaches by chance
ODDS_FACTOR = 0.1  # of log odds, because neighbouring cells are correlated
LEAST_ODDS = -15.0  # log odds below which there is no such picture
LEAST_WEIGHT = 0.03  # weight below which a frame is left out of the fill
CELL_PIXELS = 4  # pixels a side of a cell when a frame is sampled


def sample_frames(canvas: Tensor, frames: Tensor, size: int, beyond: str = "zeros") -> Tensor:
    """Crop `canvas` [1 or K, C, H, H] to each of `frames` [K, 3]: [K, C, size, size]."""
    side, y, x = frames.unbind(1)
    zero = torch.zeros_like(side)
    rows = torch.stack([side, zero, 2 * x - 1, zero, side, 2 * y - 1], dim=1).view(-1, 2, 3)
    shape = [len(frames), canvas.shape[1], size, size]
    grid = F.affine_grid(rows, shape, align_corners=False)
    canvas = canvas.expand(len(frames), *canvas.shape[1:])
    return F.grid_sample(canvas, grid, padding_mode=beyond, align_corners=False)


def sample_cells(canvas: Tensor, frames: Tensor, side: int, beyond: str = "zeros") -> Tensor:
    """Return the same as means of side x side cells: [K, C, side, side]."""
    return F.avg_pool2d(sample_frames(canvas, frames, CELL_PIXELS * side, beyond), CELL_PIXELS)


def relative_frame(part: Tensor, frame: Tensor) -> Tensor:
    """Convert frames `part` [..., 3] of photos to frames within `frame` [..., 3] of the same."""
    side = frame[..., :1]
    return torch.cat([part[..., :1], part[..., 1:] - frame[..., 1:] + side / 2], dim=-1) / side


def whole_frames(like: Tensor) -> Tensor:
    """Return `WHOLE_FRAME` as often as there are frames in `like` [K, 3]."""
    frames = torch.full_like(like, WHOLE_FRAME[1])
    frames[:, 0] = WHOLE_FRAME[0]
    return frames


def find_frames(
    seen: Tensor, share: Tensor, taught: PictureGaussian, elsewhere: PictureGaussian, noise: float
) -> tuple[Tensor, Tensor]:
    """Return frames [K, 3], and the log odds [K] that each shows such a picture rather than none.

    The odds compare the likelihood of a frame's cells under `taught` and under `elsewhere`. `seen`
    [1, 3, H, H] is already multiplied by `share` [1, 1, H, H], the visible share of each pixel. The
    usual frames are tried first; others are searched only if the evidence for these is weak.
    """
    canvas = torch.cat([seen, share], dim=1)

    @use_one_thread()
    def log_odds(frames: Tensor, a: PictureGaussian, b: PictureGaussian) -> Tensor:
        found = []
        for part in frames.split(128):
            shown = sample_cells(canvas, part, a.side)
            shares = shown[:, 3:]
            colours = shown[:, :3] / shares.clamp(min=1e-6)
            one, other = (g.log_likelihood(colours, shares, noise) for g in (a, b))
            found.append(one - other)
        return torch.cat(found)

    frames, fine = seen.new_tensor(USUAL_FRAMES), (taught.shrink(elsewhere.side), elsewhere)
    found = log_odds(frames, *fine)
    if found.max() > CHANCE_ODDS:
        return frames, found
    near = torch.cat(list(search_frames())).to(seen)
    coarse = (gaussian.shrink(elsewhere.side // 2) for gaussian in fine)
    near = near[log_odds(near, *coarse).topk(REFINED_FRAMES).indices]
    for step in REFINE_STEPS:
        near = neighbour_frames(near, step)
        near = near[log_odds(near, *fine).topk(1).indices]
    return torch.cat([frames, near]), torch.cat([found, log_odds(near, *fine) - CHANCE_ODDS])


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Run the block in one thread: on many small systems, several threads mostly wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def frame_weights(log_odds: Tensor) -> Tensor:
    """Return each frame's weight [K] in the fill; their sum is 1, or 0 if no frame is likely."""
    if log_odds.max() < LEAST_ODDS:
        return torch.zeros_like(log_odds)
    weights = torch.softmax(ODDS_FACTOR * log_odds, dim=0)
    weights = weights * (weights > LEAST_WEIGHT)
    return weights / weights.sum()


def search_frames() -> Iterator[Tensor]:
    """Yield frames [K, 3] of each size that are mostly inside the photo."""
    for side in SEARCH_SIDES:
        room = max(0.0, 1 - side) / 2 + side * SEARCH_STEP / 2
        count = round(2 * room / (side * SEARCH_STEP)) + 1
        places = torch.linspace(0.5 - room, 0.5 + room, count)
        y, x = torch.meshgrid(places, places, indexing="ij")
        yield torch.stack([torch.full_like(y, side), y, x], dim=-1).view(-1, 3)


def neighbour_frames(frames: Tensor, step: float) -> Tensor:
    """Return `frames` [K, 3] and their neighbours, `step` of their side apart: [27 K, 3]."""
    shift = torch.cartesian_prod(*[torch.tensor([-step, 0.0, step])] * 3).to(frames)
    side, middle = frames[:, None, :1], frames[:, None, 1:]
    return torch.cat([side * shift[:, :1].exp(), middle + side * shift[:, 1:]], dim=2).view(-1, 3)


def random_frames(count: int) -> Tensor:
    """Draw frames [count, 3] anywhere in a picture, of a quarter to 4/3 of its side."""
    side = (16 / 3) ** torch.rand(count) / 4
    room = (1 - side).abs()
    y, x = 0.5 + room * (torch.rand(2, count) - 0.5)
    return torch.stack([side, y, x], dim=1)


def place_faces(faces: Tensor, size: int, zoom: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Place each of `faces` [N, 3, H, H] in a picture [N, 3, size, size], at frames [N, 3].

    They are drawn: a side is the picture's times a number of the range `zoom`; a smaller one is
    anywhere in the picture, which mirrors it beyond its edges.
    """
    count, (low, high) = len(faces), zoom
    side = low + (high - low) * torch.rand(count)
    y, x = 0.5 + (1 - side).abs() * (torch.rand(2, count) - 0.5)
    frames = torch.stack([side, y, x], dim=1).to(faces, non_blocking=True)
    shown = relative_frame(whole_frames(frames), frames)
    return F.avg_pool2d(sample_frames(faces, shown, 2 * size, "reflection"), 2), frames
