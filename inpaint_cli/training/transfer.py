"""Copy batches to the device that trains."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..api.architectures import Batch


@dataclass
class BatchCopier:
    """Call it with a batch as loaded, uint8 [N, C, H, W] by name, to have it on `device`.

    To a GPU it is copied as bytes, beside whatever is computed there: in a stream of its own, for
    which later work waits on the device. This program goes on at once; pinned memory makes that
    possible.
    """

    device: torch.device
    channels_last: bool = False

    def __post_init__(self) -> None:
        self.stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None

    def __call__(self, batch: Mapping[str, Tensor]) -> Batch:
        """Return the batch on the device, with images in 0..1."""
        parts = self.copy(batch)
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        image, mask = (
            parts[name].float().contiguous(memory_format=order) for name in ("image", "mask")
        )
        return Batch(
            image / 255,
            mask,
            parts["labels"][:, 0].long() if "labels" in parts else None,
            parts["large"].float() / 255 if "large" in parts else None,
        )

    def copy(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copy the parts of a batch, and let the device wait for them before it goes on."""
        if self.stream is None:
            return {name: part.to(self.device) for name, part in batch.items()}
        now = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.stream):
            parts = {name: part.to(self.device, non_blocking=True) for name, part in batch.items()}
        now.wait_stream(self.stream)
        for part in parts.values():
            part.record_stream(now)  # else its memory could be reused by the next copy
        return parts
