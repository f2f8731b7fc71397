"""SPADE: normalisation whose scale and shift at each pixel are predicted from a layout.

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019, with
instance norm in place of batch norm, which is poor at small batches.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .values import is_exporting


class Spade(nn.Module):
    """InstanceNorm(x) * (1 + gamma) + beta, gamma and beta [N, C, H, W] computed from the layout.

    The layout is resized to x: use nearest for labels, bilinear for features. The 1 is added to the
    bias of gamma, which saves a pass over the features.
    """

    one: Tensor

    def __init__(
        self,
        channels: int,
        layout: int,
        *,
        hidden: int = 128,
        resize: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        super().__init__()
        self.resize = resize
        self.shared = nn.Conv2d(layout, hidden, 3, padding=1)
        self.scale_shift = nn.Conv2d(hidden, 2 * channels, 3, padding=1)  # gamma, then beta
        one = torch.cat([torch.ones(channels), torch.zeros(channels)])
        self.register_buffer("one", one, persistent=False)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        if layout.shape[-2:] != x.shape[-2:]:
            layout = F.interpolate(layout, x.shape[-2:], mode=self.resize)
        features = F.relu(self.shared(layout), inplace=True)
        scale_shift, bias = self.scale_shift, self.scale_shift.bias
        assert bias is not None
        both = F.conv2d(features, scale_shift.weight, bias + self.one, padding=1)
        gamma, beta = both.chunk(2, 1)
        # 1 and 0 for files of fixed operators, to which they say the number of channels
        weight, shift = self.one.chunk(2) if is_exporting() else (None, None)
        return torch.addcmul(beta, F.instance_norm(x, weight=weight, bias=shift), gamma)


class SpadeBlock(nn.Module):
    """Residual block: twice SPADE, LeakyReLU 0.2 and a 3 x 3 convolution, plus a shortcut.

    The middle has the smaller of the two widths. If the widths differ, the shortcut is SPADE and a
    convolution: 1 x 1 without bias as in the paper, or with `shortcut=3` a 3 x 3 with bias.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layout: int,
        *,
        hidden: int = 128,
        shortcut: Literal[1, 3] = 1,
        spectral: bool = False,
        resize: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        super().__init__()
        middle = min(inputs, outputs)

        def conv(a: int, b: int, kernel: int) -> nn.Module:
            layer = nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=kernel > 1)
            return spectral_norm(layer) if spectral else layer

        def spade(channels: int) -> Spade:
            return Spade(channels, layout, hidden=hidden, resize=resize)

        self.norm1, self.conv1 = spade(inputs), conv(inputs, middle, 3)
        self.norm2, self.conv2 = spade(middle), conv(middle, outputs, 3)
        if inputs != outputs:
            self.norm_shortcut, self.conv_shortcut = spade(inputs), conv(inputs, outputs, shortcut)
        self.learned = inputs != outputs

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.norm1(x, layout), 0.2))
        y = self.conv2(F.leaky_relu(self.norm2(y, layout), 0.2))
        return y + (self.conv_shortcut(self.norm_shortcut(x, layout)) if self.learned else x)
