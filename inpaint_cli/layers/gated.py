"""Gated convolution: a convolution that learns a gate for each of its outputs.

Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019, eq. 3.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedConv2d(nn.Module):
    """activation(f) * sigmoid(g), where f and g are the halves of one convolution.

    `outputs` counts channels after gating. The size is divided by `stride`, rounded up.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: Callable[[Tensor], Tensor] | None = F.elu,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(
            inputs, 2 * outputs, kernel, stride, padding=padding, dilation=dilation
        )
        self.activation = activation
        # [choice] A gate halves its input on average: twice the scale keeps a deep stack alive.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear")
        with torch.no_grad():
            self.conv.weight[:outputs] *= 2

    def forward(self, x: Tensor) -> Tensor:
        features, gate = self.conv(x).chunk(2, 1)
        if self.activation is not None:
            features = self.activation(features)
        return features * torch.sigmoid(gate)
