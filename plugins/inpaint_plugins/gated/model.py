"""A coarse and a refinement network of gated convolutions, the latter with contextual attention.

Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019 (DeepFill v2), section 3,
with the attention of Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018.
All branches have the same layout here; the authors' code narrows two layers of the second network.
Not specified in the papers [choice]: padding with zeros; attention is propagated along both axes of
the image instead of along its flattened pixels; if no patch is entirely visible, attention uses
those with the smallest share of the hole.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import GatedConv2d


def encoder_layers(width: int) -> list[nn.Module]:
    """Map [N, 5, H, W] to [N, 4 width, H/4, W/4]."""
    return [
        GatedConv2d(5, width, kernel=5),
        GatedConv2d(width, 2 * width, stride=2),
        GatedConv2d(2 * width, 2 * width),
        GatedConv2d(2 * width, 4 * width, stride=2),
        GatedConv2d(4 * width, 4 * width),
        GatedConv2d(4 * width, 4 * width),
    ]


def dilated_layers(width: int) -> list[nn.Module]:
    """Widen the receptive field; [N, 4 width, h, w] keeps its shape."""
    return [GatedConv2d(4 * width, 4 * width, dilation=d) for d in (2, 4, 8, 16)]


def decoder_layers(width: int, inputs: int) -> list[nn.Module]:
    """Map [N, inputs, H/4, W/4] to an image [N, 3, H, W] in -1..1."""
    half = max(width // 2, 1)
    return [
        GatedConv2d(inputs, 4 * width),
        GatedConv2d(4 * width, 4 * width),
        nn.Upsample(scale_factor=2),
        GatedConv2d(4 * width, 2 * width),
        GatedConv2d(2 * width, 2 * width),
        nn.Upsample(scale_factor=2),
        GatedConv2d(2 * width, width),
        GatedConv2d(width, half),
        nn.Conv2d(half, 3, 3, padding=1),
        nn.Tanh(),
    ]


class ContextualAttention(nn.Module):
    """Rebuild features from patches of visible ones (CVPR 2018, section 4.1). No parameters.

    Features are compared at half their size in patches of 3 x 3, with keys of unit length; scores
    are multiplied by 10 before the softmax; patches of 4 x 4 at full size are pasted and averaged.
    Scores are float32 and computed for some rows of queries at a time, at most `budget` of them.
    """

    def __init__(self, budget: int = 2**24) -> None:
        super().__init__()
        self.budget = budget

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Rebuild `x` [N, C, H, W], whose sides are even, with its hole mask [N, 1, H, W]."""
        with torch.autocast(x.device.type, enabled=False):
            pairs = zip(x.float().split(1), mask.float().split(1), strict=True)
            return torch.cat([self.rebuild_image(*pair) for pair in pairs]).to(x.dtype)

    def rebuild_image(self, x: Tensor, mask: Tensor) -> Tensor:
        """Do so for one image [1, C, H, W]."""
        size = x.shape[-2:]
        small = F.interpolate(x, scale_factor=0.5)  # 1 C h w
        h, w = small.shape[-2:]
        queries = F.unfold(small, 3, padding=1)[0].T.view(h, w, -1)  # h w 9C
        keys = F.normalize(queries.view(h * w, -1), dim=1, eps=1e-4)
        share = F.avg_pool2d(F.max_pool2d(mask, 2), 3, 1, 1, count_include_pad=False).view(-1)
        excluded = share > share.min()  # keys in the hole, unless all are
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")  # zeros would be copied into the hole
        patches = F.unfold(padded, 4, stride=2)[0].T  # hw 16C
        rows = max(1, self.budget // (h * w * w) - 2)
        built = []
        for top in range(0, h, rows):
            bottom = min(top + rows, h)
            reach = slice(max(top - 1, 0), min(bottom + 1, h))  # one more row on either side
            scores = propagate_scores((queries[reach] @ keys.T).view(-1, w, h, w))
            scores = scores[top - reach.start :][: bottom - top].view(-1, h * w)
            weights = (10 * scores).masked_fill(excluded, -torch.inf).softmax(1)
            built.append(weights @ patches)
        total = F.fold(torch.cat(built).T[None], size, 4, padding=1, stride=2)
        cover = F.fold(x.new_ones(1, 16, h * w), size, 4, padding=1, stride=2)
        return total / cover  # four patches cover a pixel, fewer at the border

    def for_export(self) -> nn.Module:
        return WholeAttention()


class WholeAttention(nn.Module):
    """The same for one image, all rows of queries at once, as a file of fixed operators has it."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        small = x[..., ::2, ::2]
        h, w = small.shape[-2:]
        queries = F.unfold(small, 3, padding=1)[0].T
        keys = F.normalize(queries, dim=1, eps=1e-4)
        share = F.avg_pool2d(F.max_pool2d(mask, 2), 3, 1, 1, count_include_pad=False).view(1, -1)
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        patches = F.unfold(padded, 4, stride=2)[0].T
        scores = shift_scores((queries @ keys.T).view(h, w, h, w)).reshape(h * w, h * w)
        weights = (10 * scores).masked_fill(share > share.min(), -torch.inf).softmax(1)
        total = paste_patches((weights @ patches).T.reshape(-1, 16, h, w)).transpose(0, 1)
        return total / paste_patches(torch.ones_like(small[:, :1]).expand(1, 16, h, w))


def paste_patches(patches: Tensor) -> Tensor:
    """Add patches [C, 16, h, w] of 4 x 4 to each other, 2 pixels apart: [C, 1, 2 h, 2 w]."""
    weight = torch.eye(16, dtype=patches.dtype).view(16, 1, 4, 4)
    return F.conv_transpose2d(patches, weight, stride=2, padding=1)


def shift_scores(scores: Tensor) -> Tensor:
    """`propagate_scores` without writing into a tensor."""
    across = (
        scores
        + F.pad(scores[:, :-1, :, :-1], (1, 0, 0, 0, 1, 0))
        + F.pad(scores[:, 1:, :, 1:], (0, 1, 0, 0, 0, 1))
    )
    return (
        across
        + F.pad(across[:-1, :, :-1], (0, 0, 1, 0, 0, 0, 1, 0))
        + F.pad(across[1:, :, 1:], (0, 0, 0, 1, 0, 0, 0, 1))
    )


def propagate_scores(scores: Tensor) -> Tensor:
    """Add to each score [h, w, H, W] those of neighbouring queries for keys with the same shift."""
    across = scores.clone()
    across[:, 1:, :, 1:] += scores[:, :-1, :, :-1]
    across[:, :-1, :, :-1] += scores[:, 1:, :, 1:]
    both = across.clone()
    both[1:, :, 1:] += across[:-1, :, :-1]
    both[:-1, :, :-1] += across[1:, :, 1:]
    return both


class GatedNet(nn.Module):
    """The whole network; it returns the refined and the coarse image [N, 3, H, W] in 0..1."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.coarse = nn.Sequential(
            *encoder_layers(width), *dilated_layers(width), *decoder_layers(width, 4 * width)
        )
        self.texture = nn.Sequential(*encoder_layers(width), *dilated_layers(width))
        self.context = nn.Sequential(*encoder_layers(width))
        self.attention = ContextualAttention()
        self.blend = nn.Sequential(
            GatedConv2d(4 * width, 4 * width), GatedConv2d(4 * width, 4 * width)
        )
        self.refine = nn.Sequential(*decoder_layers(width, 8 * width))

    def forward(self, visible: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        known = (2 * visible - 1) * (1 - mask)
        ones = torch.ones_like(mask)
        coarse = self.coarse(torch.cat([known, ones, mask], 1))
        x = torch.cat([known + coarse * mask, ones, mask], 1)
        context = self.context(x)  # N 4W H/4 W/4
        context = self.blend(self.attention(context, F.max_pool2d(mask, 4)))
        refined = self.refine(torch.cat([self.texture(x), context], 1))
        return (refined + 1) / 2, (coarse + 1) / 2
