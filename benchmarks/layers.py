"""Fourier and partial convolutions against the forms they replace, on the CPU.

The same weights and inputs on both sides; LaMa's peer is the `spandrel` package's network.
"""

import torch
from spandrel.architectures.LaMa import LaMa as Theirs
from table import paired, record
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.layers.partial import PartialConv2d
from inpaint_plugins.lama import LaMa
from inpaint_plugins.lama.model import FourierNet
from inpaint_plugins.lama.settings import LaMaSettings


def lama(side: int) -> tuple[float, float]:
    """Seconds of spandrel's Big LaMa and of ours, for one picture."""
    theirs, ours = Theirs(in_nc=4, out_nc=3).eval(), FourierNet(LaMaSettings()).eval()
    converted = LaMa.convert(theirs.state_dict())
    assert converted
    ours.load_state_dict(dict(converted.state))
    image, mask = torch.rand(1, 3, side, side), torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    visible = image * (1 - mask)
    peer, own = paired(lambda: theirs(image, mask), lambda: ours(visible, mask), rounds=3)
    return peer, own


class PlainPartial(nn.Module):
    """The layer as it is usually written: a mask of every channel, convolved with ones."""

    def __init__(self, conv: PartialConv2d) -> None:
        super().__init__()
        self.conv = conv
        self.ones = torch.ones_like(conv.weight[:1])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        stride, padding = self.conv.stride, self.conv.padding
        s = F.conv2d(mask, self.ones, None, stride, padding)
        y = F.conv2d(x * mask, self.conv.weight, None, stride, padding)
        return y * torch.where(s > 0, self.conv.window / s, 0)


def partial(side: int, deep: int, skip: int, outputs: int) -> tuple[float, float]:
    """Seconds of the plain layer and of ours, with a decoder's two sources."""
    conv = PartialConv2d([deep, skip], outputs, kernel=3, bias=False)
    plain = PlainPartial(conv)
    x = [torch.rand(1, n, side, side) for n in (deep, skip)]
    masks = [(torch.rand(1, 1, side, side) > 0.5).float() for _ in x]
    full = torch.cat([m.expand_as(f) for m, f in zip(masks, x, strict=True)], 1).contiguous()
    torch.testing.assert_close(
        conv(*zip(x, masks, strict=True))[0], plain(torch.cat(x, 1), full), atol=1e-4, rtol=1e-4
    )
    peer, own = paired(
        lambda: plain(torch.cat(x, 1), full), lambda: conv(*zip(x, masks, strict=True)), rounds=7
    )
    return peer, own


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    rows = []
    with torch.inference_mode():
        for side in (128, 256):
            rows.append((f"Big LaMa, {side} x {side}: spandrel", *lama(side)))
        for shape in ((128, 128, 64, 64), (64, 256, 128, 128), (32, 512, 256, 256)):
            side, deep, skip, outputs = shape
            what = f"partial convolution {deep} + {skip} to {outputs}, {side} x {side}: full mask"
            rows.append((what, *partial(side, deep, skip, outputs)))
    lines = ["| what: against | theirs, ms | ours, ms | speed-up |", "| --- | --: | --: | --: |"]
    for what, peer, own in rows:
        lines.append(f"| {what} | {peer * 1e3:.1f} | {own * 1e3:.1f} | {peer / own:.2f}x |")
    head = "Forward, float32, two threads, medians of interleaved runs.\n\n"
    record("layers", "Layers", head + "\n".join(lines))


if __name__ == "__main__":
    main()
