"""SPN's forward and training step against a plain transcription of its layer tables, on the CPU.

The same weights on both sides; first as glibc handles memory, then as `inpaint fill` asks
it to (`devices.keep_memory`).
"""

from collections.abc import Callable
from functools import partial

import torch
from peaks import peak
from table import paired, record
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.engine.devices import keep_memory
from inpaint_cli.layers.spade import Spade, SpadeBlock
from inpaint_spn import SPN
from inpaint_spn.model import Generator, SemanticPriorNet, SpadeResidual
from inpaint_spn.prior import DenseBlock, PriorLearner, Widening
from inpaint_spn.regions import BasicNorm

TITLE = """## SPN

The full network (50.6 M parameters), float32, two threads, medians of interleaved runs; equal
within 1e-4. `memory kept`: glibc holds what is freed for the next tensor, as `inpaint fill` asks
it to. Windows of 512 bound the memory of a larger photo.

"""


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


def plain_widening(block: Widening, x: Tensor) -> Tensor:
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


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    net = SPN.build(SPN.settings()).eval()
    cases: list[tuple[str, list[Callable[[], object]], int]] = []  # what, plain and ours, rounds
    for side, rounds in ((256, 3), (512, 2)):
        given = net, *example(side)
        both = [partial(forward, run, *given) for run in (plain, shipped)]
        cases.append((f"forward, {side} x {side}", both, rounds))
    torch.testing.assert_close(*(run() for run in cases[0][1]), atol=1e-4, rtol=0)
    visible, mask = example(64)
    runs = [partial(run, net, visible, mask) for run in (plain, shipped)]
    both = [partial(step, run, net, visible) for run in runs]
    cases.append(("forward and backward, 64 x 64", both, 5))
    usual = [paired(*both, rounds=rounds) for _, both, rounds in cases]
    assert keep_memory()  # there is no way back
    lines = [
        "| what | plain, s | ours, s | of plain | memory kept, s | of plain |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for (what, both, rounds), (theirs, ours) in zip(cases, usual, strict=True):
        (kept,) = paired(both[1], rounds=rounds)
        told = f"{ours:.2f} | {ours / theirs:.2f}x | {kept:.2f} | {kept / theirs:.2f}x"
        lines.append(f"| {what} | {theirs:.2f} | {told} |")
        print(lines[-1], flush=True)
    lines += ["", "| filling a photo of | added memory, MiB |", "| --- | --: |"]
    lines += [f"| {side} x {side} | {peak('spn', side):.0f} |" for side in (512, 1024)]
    record("spn", TITLE + "\n".join(lines))


if __name__ == "__main__":
    main()
