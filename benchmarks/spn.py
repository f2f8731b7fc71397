"""SPN's forward and training step against a plain transcription of its layer tables, on the CPU.

The same weights on both sides. `python benchmarks/spn.py` has memory handled as glibc does by
itself, `spn.py kept` as in `inpaint fill` (`devices.keep_memory`); `spn.py kept 512` or `spn.py ""
step` prints that row alone.
"""

import subprocess
import sys
from functools import partial
from subprocess import PIPE

import torch
from peaks import peak
from table import paired, record
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.layers.spade import Spade, SpadeBlock
from inpaint_cli.runtime.devices import keep_freed_memory
from inpaint_plugins.spn import SPN
from inpaint_plugins.spn.model import Generator, SemanticPriorNet, SpadeResidual
from inpaint_plugins.spn.prior import DenseBlock, PriorLearner, WideningResidual
from inpaint_plugins.spn.regions import BasicNorm

USUAL = """\
The full network (50.6 M parameters), float32, two threads, medians of interleaved runs, each row
in a process of its own; equal within 1e-4. Memory is handled as glibc does by itself.
"""
KEPT = """\
As for SPN above, but glibc keeps freed memory for the next tensor, as `inpaint fill` asks it to.
"""
WINDOWS = "Filling a photo of 1024 x 1024 in windows of 512 adds {:.0f} MiB at its peak."


def plain_spade(spade: Spade, x: Tensor, layout: Tensor) -> Tensor:
    if layout.shape[-2:] != x.shape[-2:]:
        layout = F.interpolate(layout, x.shape[-2:])
    features = F.relu(spade.shared(layout))
    weights, bias = spade.scale_shift.weight.chunk(2), spade.scale_shift.bias.chunk(2)
    gamma, beta = (F.conv2d(features, w, b, padding=1) for w, b in zip(weights, bias, strict=True))
    return F.instance_norm(x) * (1 + gamma) + beta


def plain_residual(block: SpadeResidual, x: Tensor, layout: Tensor) -> Tensor:
    y = block.conv1(F.relu(plain_spade(block.norm1, x, layout)))
    return x + block.conv2(F.relu(plain_spade(block.norm2, y, layout)))


def plain_up(block: SpadeBlock, x: Tensor, layout: Tensor) -> Tensor:
    y = block.conv1(F.leaky_relu(plain_spade(block.norm1, x, layout), 0.2))
    y = block.conv2(F.leaky_relu(plain_spade(block.norm2, y, layout), 0.2))
    return block.conv_shortcut(plain_spade(block.norm_shortcut, x, layout)) + y


def plain_dense(block: DenseBlock, x: Tensor) -> Tensor:
    features = [x]
    for conv in block.convs:
        features.append(F.relu(conv(torch.cat(features, 1))))
    return x + block.fuse(torch.cat(features, 1))


def plain_widening(block: WideningResidual, x: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1), "reflect")
    weights, bias = block.both.weight.chunk(2), block.both.bias.chunk(2)
    y = block.second(F.relu(F.conv2d(padded, weights[0], bias[0])))
    padded = F.pad(x, (1, 1, 1, 1), "reflect")
    return y + F.conv2d(padded, weights[1], bias[1])


def plain_norm(norm: BasicNorm, x: Tensor, mask: Tensor) -> Tensor:
    mask = F.interpolate(mask, x.shape[-2:])
    total, parts = x.shape[2] * x.shape[3], []
    for region in (mask, 1 - mask):
        count = region.sum((2, 3), keepdim=True)
        count = torch.where(count == 0, 1, count)
        mean = (x * region).sum((2, 3), keepdim=True) / count
        parts.append(F.instance_norm(x * region + mean * (1 - region)) * (count / total).sqrt())
    y, out = parts[0] + parts[1], 0
    for n, region in enumerate((mask, 1 - mask)):
        scale, shift = norm.scale[:, n, None, None], norm.shift[:, n, None, None]
        out = out + (y * region) * (1 + scale) + shift
    return out


def plain_prior(prior: PriorLearner, white: Tensor, mask: Tensor) -> list[Tensor]:
    large = [F.interpolate(t, scale_factor=2, mode="nearest") for t in (white, mask)]
    x, skips = F.relu(prior.first(torch.cat(large, 1))), []
    for conv in prior.down:
        x = F.relu(conv(x))
        skips.append(x)
    y, trunk = prior.enter(x), []
    for block in prior.dense:
        y = plain_dense(block, y)
        trunk.append(y)
    y = x + prior.fuse(torch.cat(trunk, 1))
    for block in prior.coarse:
        y = y + block.second(F.relu(block.first(y)))
    priors = [y]
    for up, join, skip in zip(prior.up, prior.join, (skips[1], skips[0]), strict=True):
        larger = F.relu(F.pixel_shuffle(up[0](y), 2))
        y = plain_widening(join, torch.cat([skip, larger], 1))
        priors.insert(0, y)
    return priors


def plain_generator(net: Generator, white: Tensor, mask: Tensor, priors: list[Tensor]) -> Tensor:
    x = white
    for conv, norm in zip(net.encode, net.norms, strict=True):
        x = F.relu(plain_norm(norm, conv(x), mask))
    for block in net.blocks:
        x = plain_residual(block, x, priors[2])
    for block, prior in zip(net.up, (priors[1], priors[0]), strict=True):
        x = plain_up(block, F.interpolate(x, scale_factor=2), prior)
    return (torch.tanh(net.last(F.leaky_relu(x, 0.2))) + 1) / 2


def plain(net: SemanticPriorNet, visible: Tensor, mask: Tensor) -> Tensor:
    white = visible * (1 - mask) + mask
    return plain_generator(net.generator, white, mask, plain_prior(net.prior, white, mask))


def shipped(net: SemanticPriorNet, visible: Tensor, mask: Tensor) -> Tensor:
    return net(visible, mask).image


def forward(run, *args: object) -> Tensor:
    with torch.inference_mode():
        return run(*args)


def step(run, net: nn.Module, image: Tensor) -> None:
    """A forward and a backward, as far as the network takes part in a step."""
    (run() - image).abs().mean().backward()
    net.zero_grad()


def example(side: int) -> tuple[Tensor, Tensor]:
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return torch.rand(1, 3, side, side) * (1 - mask), mask


def seconds(net: SemanticPriorNet, case: str) -> str:
    """A row: `step` is one of training, at 128 pixels; else a forward at so many."""
    side = 128 if case == "step" else int(case)
    given = net, *example(side)
    runs = [partial(run, *given) for run in (plain, shipped)]
    if case == "step":
        what, rounds = "forward and backward", 3
        runs = [partial(step, run, net, given[1]) for run in runs]
    else:
        what, rounds = "forward", 3 if side < 512 else 1
        runs = [partial(forward, run) for run in runs]
        if side < 512:
            torch.testing.assert_close(*(run() for run in runs), atol=1e-4, rtol=0)
    theirs, ours = paired(*runs, rounds=rounds)
    times = f"{theirs:.2f} | {ours:.2f} | {ours / theirs:.2f}x"
    return f"| {what}, {side} x {side} | {times} |"


def main(kept: str = "", case: str = "") -> None:
    if case:
        torch.manual_seed(0)
        torch.set_num_threads(2)
        assert not kept or keep_freed_memory()
        print(seconds(SPN.build(SPN.settings()).eval(), case))
        return
    lines = ["| what | plain, s | ours, s | ours of plain |", "| --- | --: | --: | --: |"]
    for case in ("step", "256", "512"):
        command = [sys.executable, __file__, kept, case]
        lines.append(subprocess.run(command, check=True, stdout=PIPE, text=True).stdout.strip())
    if kept:
        title, command = "SPN where freed memory is kept", "python benchmarks/spn.py kept"
        record("spn-kept", title, "\n".join([KEPT, *lines]), command=command)
    else:
        lines += ["", WINDOWS.format(peak("spn", 1024))]
        record("spn", "SPN", "\n".join([USUAL, *lines]))


if __name__ == "__main__":
    main(*sys.argv[1:])
