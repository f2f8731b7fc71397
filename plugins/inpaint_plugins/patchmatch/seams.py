"""Hide the seams between pieces of a photo that were copied into its hole.

A copy is a flat index map `source` [HW]: pixel p shows what is at `source[p]`; where the photo is
visible, that is p itself. `rows` [HW, 3] are the colours of the photo.
"""

import torch
from torch import Tensor

KEEP = 0.1  # how much a copied colour counts beside the slope to its neighbours


def cut(rows: Tensor, hole: Tensor, source: Tensor, *, rounds: int = 3) -> Tensor:
    """Move the borders between pieces to where they show least, and return the new map.

    The seam cost of Kwatra et al. 2003, eq. 1, lowered pixel by pixel (Besag's iterated
    conditional modes): each takes over a neighbour's piece where that makes for smaller seams.
    Pixels of one colour of a chessboard do not meet, so that half of them move at once.
    """
    height, width = hole.shape
    last = len(rows) - 1
    rows = rows.contiguous()
    visible = ~hole.flatten()
    source = source.clone()
    y, x = (
        grid.flatten()
        for grid in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    )
    beside = {1: x < width - 1, -1: x > 0, width: y < height - 1, -width: y > 0}

    def gap(a: Tensor, b: Tensor) -> Tensor:
        return (rows.index_select(0, a) - rows.index_select(0, b)).square_().sum(1).sqrt_()

    def cost(pixels: Tensor, origin: Tensor) -> Tensor:
        """Of showing `origin` at `pixels`, whatever their neighbours now show."""
        total = 1e3 * ~visible[origin]
        for step, inside in beside.items():
            theirs = source[(pixels + step).clamp_(0, last)]
            seam = gap(origin, (theirs - step).clamp_(0, last))
            seam += gap((origin + step).clamp_(0, last), theirs)
            total += seam * inside[pixels]
        return total

    halves = [(hole.flatten() & ((x + y) % 2 == n)).nonzero()[:, 0] for n in range(2)]
    for _ in range(rounds):
        for pixels in halves:
            best = source[pixels]
            least = cost(pixels, best)
            for step, inside in beside.items():
                origin = (source[(pixels + step).clamp_(0, last)] - step).clamp_(0, last)
                its_cost = torch.where(inside[pixels], cost(pixels, origin), torch.inf)
                best = torch.where(its_cost < least, origin, best)
                least = torch.minimum(its_cost, least)
            source[pixels] = best
    return source


def blend(rows: Tensor, hole: Tensor, source: Tensor, *, rounds: int = 30) -> Tensor:
    """Return the photo [3, H, W] whose hole has the slopes of what was copied, without seams.

    A screened Poisson equation (Bhat et al. 2008, eq. 5; Pérez et al. 2003 for the border), by
    conjugate gradients. Across a seam the slope is the mean of what both pieces show there.
    """
    height, width = hole.shape
    copied = rows[source].T.reshape(3, height, width)
    beyond = hole.flatten()

    def slope(dim: int, step: int) -> Tensor:
        grid = source.reshape(height, width)
        here, there = (
            grid.narrow(dim, 0, grid.shape[dim] - 1),
            grid.narrow(dim, 1, grid.shape[dim] - 1),
        )
        after, before = (here + step).clamp_(max=len(rows) - 1), (there - step).clamp_(min=0)
        a, b = (~beyond[after])[..., None].float(), (~beyond[before])[..., None].float()
        total = (rows[after] - rows[here]) * a + (rows[there] - rows[before]) * b
        return (total / (a + b).clamp(min=1)).permute(2, 0, 1)  # 3 H W

    def divergence(across: Tensor, down: Tensor) -> Tensor:
        total = torch.zeros_like(copied)
        total[:, :, :-1] += across
        total[:, :, 1:] -= across
        total[:, :-1] += down
        total[:, 1:] -= down
        return total

    def system(image: Tensor) -> Tensor:
        return (KEEP * image - divergence(image.diff(dim=2), image.diff(dim=1))) * hole

    image = copied.clone()
    residual = (KEEP * copied - divergence(slope(1, 1), slope(0, width))) * hole - system(image)
    direction = residual
    size = residual.square().sum((1, 2), keepdim=True)
    for _ in range(rounds):
        change = system(direction)
        length = size / (direction * change).sum((1, 2), keepdim=True).clamp(min=1e-12)
        image += length * direction
        residual = residual - length * change
        previous, size = size, residual.square().sum((1, 2), keepdim=True)
        direction = residual + size / previous.clamp(min=1e-12) * direction
    return image.clamp_(0, 1)
