"""The U-Net of partial convolutions: the network of `pconv`, and the first stage of `mdrnets`.

Liu et al., "Image Inpainting for Irregular Holes Using Partial Convolutions", ECCV 2018. The paper
has 8 levels at 512 pixels; 7 at 256 keep its bottleneck of 2 x 2 [choice]. The hole is removed by
selection instead of a product, and W / s has no epsilon [choice]: both are exact.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .partial import FreezableBatchNorm2d, PartialConv2d, zero_unknown

KnownFeatures = tuple[Tensor, Tensor]  # features [N, C, H, W] and where they are known [N, 1, H, W]


class PartialBlock(nn.Module):
    """Partial convolution, batch norm and activation; without `norm` the convolution has a bias."""

    def __init__(
        self,
        sources: tuple[int, ...],
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        norm: bool = True,
        slope: float = 0.0,  # of the leaky ReLU; 1 for none
    ) -> None:
        super().__init__()
        self.conv = PartialConv2d(sources, outputs, kernel=kernel, stride=stride, bias=not norm)
        self.norm = FreezableBatchNorm2d(outputs) if norm else nn.Identity()
        self.slope = slope

    def forward(self, *sources: KnownFeatures) -> KnownFeatures:
        x, known = self.conv(*sources)
        x = self.norm(x)
        return (x if self.slope == 1 else F.leaky_relu(x, self.slope)), known


class PartialUNet(nn.Module):
    """The whole U-Net. Visible pixels of its output are predictions too; nothing is clipped."""

    def __init__(self, levels: int = 7, width: int = 64) -> None:
        super().__init__()
        widths = [3, *(width * min(2**n, 8) for n in range(levels))]
        kernels = [7, 5, 5, *[3] * levels][:levels]
        self.encoder = nn.ModuleList(
            PartialBlock((widths[n],), widths[n + 1], kernel=kernels[n], stride=2, norm=n > 0)
            for n in range(levels)
        )
        self.decoder = nn.ModuleList(  # deepest first
            PartialBlock(
                (widths[n + 1], widths[n]), widths[n], norm=n > 0, slope=0.2 if n > 0 else 1.0
            )
            for n in reversed(range(levels))
        )

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        return self.forward_known(visible, mask)[0]

    def parts_to_finetune(self) -> list[str]:
        """List the submodules to train when fine-tuning: all but the norms of the encoder."""
        return ["decoder", *(f"encoder.{level}.conv" for level in range(len(self.encoder)))]

    def forward_known(self, visible: Tensor, mask: Tensor) -> KnownFeatures:
        """Return the image [N, 3, H, W] and the mask of pixels that some known pixel reached."""
        x = (visible, 1 - mask)
        skips = []
        for block in self.encoder:  # H/2, H/4, ... H/2^levels
            skips.append(x)
            x = block(*[x])
        for block in self.decoder:
            features, known = x
            features = zero_unknown(features, known)  # at a quarter of the pixels
            x = block((upsample_nearest(features), upsample_nearest(known)), skips.pop())
        return x


def upsample_nearest(x: Tensor) -> Tensor:
    """Double both sides by repeating pixels."""
    return F.interpolate(x, scale_factor=2)  # nearest
