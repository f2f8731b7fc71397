"""The shell around a filler that works on one photo's numpy arrays and knows no gradients."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Classical(nn.Module, ABC):
    """A module without parameters that fills the photos of a batch one after the other."""

    @abstractmethod
    def fill(self, image: "NDArray[np.float32]", hole: "NDArray[np.bool_]") -> "NDArray":
        """The filled `image` [H, W, 3] in 0..1; `hole` [H, W] is not empty, nor all of it."""

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        filled = torch.empty_like(visible, dtype=torch.float32, device="cpu")
        for photo, area, out in zip(
            visible.float().cpu(), mask[:, 0].cpu() > 0.5, filled, strict=True
        ):
            image = photo.permute(1, 2, 0).contiguous().numpy()  # H W 3
            if area.all():
                image = torch.full(image.shape, 0.5).numpy()  # nothing to go by: mid-grey
            elif area.any():
                image = self.fill(image, area.numpy())
            out.copy_(torch.from_numpy(image).permute(2, 0, 1))
        return filled.to(visible)
