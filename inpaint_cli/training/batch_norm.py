"""Batch norm over the batch of all processes, on any device, as one process would compute it."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is that of all their losses."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.contiguous().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return SumOverProcesses.apply(*gradients)


class SharedBatchNorm(_BatchNorm):
    """What `share_batch_statistics` puts before the class of a batch norm.

    torch's own SyncBatchNorm needs a GPU, and takes the place of a subclass that freezes itself.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x, dims = input.float(), [0, *range(2, input.ndim)]
        shape = (-1, *[1] * (input.ndim - 2))
        own = torch.cat([x.sum(dims), x.new_tensor([x.numel() / x.shape[1]])])
        total: Any = SumOverProcesses.apply(own)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = x - mean.view(shape)
        squares: Any = SumOverProcesses.apply(centred.square().sum(dims))
        self.follow_statistics(mean.detach(), squares.detach() / (count - 1))
        y = centred * (squares / count + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def follow_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics as torch's batch norm does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_batch_statistics(net: nn.Module) -> None:
    """Let each batch norm of `net`, in place, use the statistics of the batch of all processes."""
    for module in net.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, SharedBatchNorm):
            own = type(module)
            module.__class__ = type(f"Shared{own.__name__}", (SharedBatchNorm, own), {})
