"""IN2 beside Big LaMa, its neighbourhood attention beside other forms of it, and its peak memory.

Random weights, float32. Memory is the rise of a process's peak over the loaded network and its
input. Takes some minutes on two cores.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from table import paired, record
from torch import Tensor
from torch.nn import functional as F

from inpaint_plugins.in2.attention import attend_neighbourhood
from inpaint_plugins.in2.model import IN2Net
from inpaint_plugins.in2.settings import IN2Settings
from inpaint_plugins.lama.model import FourierNet
from inpaint_plugins.lama.settings import LaMaSettings

PROBE = """
import sys, torch
from table import held
from inpaint_plugins.in2.model import IN2Net
from inpaint_plugins.in2.settings import IN2Settings
torch.set_num_threads(2)
side = int(sys.argv[1])
net = IN2Net(IN2Settings(rows=int(sys.argv[2]))).eval()
image, mask = torch.rand(1, 3, side, side), torch.zeros(1, 1, side, side)
mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
before = held("VmRSS")
with torch.inference_mode():
    net(image, mask)
print((held() - before) / 1024)
"""


def starts(n: int, kernel: int) -> Tensor:
    return (torch.arange(n) - kernel // 2).clamp(0, n - kernel)


def gather_tiles(q: Tensor, k: Tensor, v: Tensor, kernel: int = 7) -> Tensor:
    """The plain form: 49 copies of keys and values."""
    n, height, width, heads, d = q.shape
    rows, columns = (starts(s, kernel)[:, None] + torch.arange(kernel) for s in (height, width))
    places = (rows[:, None, :, None] * width + columns[None, :, None]).view(-1, kernel**2)
    near = [x.reshape(n, -1, heads, d)[:, places.to(q.device)] for x in (k, v)]
    share = torch.einsum("nphd,npkhd->nphk", q.flatten(1, 2), near[0]).div(d**0.5).softmax(-1)
    return torch.einsum("nphk,npkhd->nphd", share, near[1]).view_as(q)


def sliced(q: Tensor, k: Tensor, v: Tensor, kernel: int = 7) -> Tensor:
    """49 passes over shifted maps; the windows of queries near a border are rows of the inside."""
    height, width, d = q.shape[1], q.shape[2], q.shape[-1]
    y, x = starts(height, kernel).to(q.device), starts(width, kernel).to(q.device)

    def shifted(source: Tensor, i: int, j: int) -> Tensor:
        inside = source[:, i : i + height - kernel + 1, j : j + width - kernel + 1]
        return inside.index_select(1, y).index_select(2, x)

    offsets = [(i, j) for i in range(kernel) for j in range(kernel)]
    logits = torch.stack([(q * shifted(k, i, j)).sum(-1) for i, j in offsets], -1)
    share = (logits / d**0.5).softmax(-1)
    out = torch.zeros_like(q)
    for o, (i, j) in enumerate(offsets):
        out.addcmul_(share[..., o : o + 1], shifted(v, i, j))
    return out


def dense(q: Tensor, k: Tensor, v: Tensor, kernel: int = 7) -> Tensor:
    """One masked attention over the whole map."""
    seen = []
    for n in q.shape[1:3]:
        first, at = starts(n, kernel)[:, None], torch.arange(n)
        seen.append((at >= first) & (at < first + kernel))
    height, width = q.shape[1:3]
    mask = (seen[0][:, None, :, None] & seen[1][None, :, None]).view(height * width, -1)
    flat = [x.flatten(1, 2).transpose(1, 2) for x in (q, k, v)]
    out = F.scaled_dot_product_attention(*flat, attn_mask=mask.to(q.device))
    return out.transpose(1, 2).reshape(q.shape)


def attention(height: int, width: int, device: str, rounds: int) -> list[str]:
    """A row of the table: seconds of ours, and of the others as multiples of it."""
    q, k, v = torch.randn(3, 1, height, width, 8, 32, device=device)
    table = torch.randn(8, 13, 13, device=device)
    others = (gather_tiles, sliced, dense)
    for other in others:
        torch.testing.assert_close(
            other(q, k, v), attend_neighbourhood(q, k, v, None), atol=1e-4, rtol=0
        )
    forms: list[Callable[[], object]] = [
        lambda tile=tile: attend_neighbourhood(q, k, v, table, tile=tile) for tile in (8, 4, 16)
    ]
    forms += [lambda form=form: form(q, k, v) for form in others]
    own, *peers = paired(*(synchronised(form, device) for form in forms), rounds=rounds)
    return [f"{height} x {width}", f"{own * 1e3:.1f} ms", *(f"{peer / own:.1f}x" for peer in peers)]


def synchronised(form: Callable[[], object], device: str) -> Callable[[], object]:
    def run() -> None:
        form()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def latency(side: int, device: str, rounds: int) -> list[str]:
    nets = [IN2Net(IN2Settings()), FourierNet(LaMaSettings())]
    image, mask = torch.rand(1, 3, side, side), torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    visible, mask = (image * (1 - mask)).to(device), mask.to(device)
    nets = [net.eval().to(device) for net in nets]
    runs = [synchronised(lambda net=net: net(visible, mask), device) for net in nets]
    ours, theirs = paired(*runs, rounds=rounds)
    return [f"{side} x {side}", f"{ours:.3f} s", f"{theirs:.3f} s", f"{ours / theirs:.2f}"]


def memory(side: int, rows: int) -> str:
    """GiB."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(side), str(rows)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return f"{float(done.stdout):.2f}"


def lines(*rows: list[str]) -> list[str]:
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return [head, f"| {' | '.join(['---', *['--:'] * (len(rows[0]) - 1)])} |", *rest, ""]


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    page = [__doc__ or ""]
    with torch.inference_mode():
        for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
            page += [f"Latency, {device} (the paper: 20 ms to 13 ms of a smaller LaMa, 1.5):\n"]
            rows = [latency(side, device, 3) for side in (256, 512)]
            page += lines(["input", "in2", "lama", "in2 / lama"], *rows)
            page += [f"Neighbourhood attention, 8 heads of 32, {device}; others as multiples:\n"]
            rows = [attention(*size, device, 7) for size in ((64, 64), (128, 96))]
            heads = ["map", "tiles of 8", "tiles of 4", "of 16", "gather", "49 offsets", "dense"]
            page += lines(heads, *rows)
    rows = [[f"{side} x {side}", memory(side, IN2Settings().rows)] for side in (512, 1024, 2048)]
    rows.append(["1024 x 1024, decoder in one piece", memory(1024, 10**6)])
    page += ["Peak memory, CPU:\n", *lines(["input", "GiB"], *rows)]
    record("in2", "IN2", "\n".join(page))


if __name__ == "__main__":
    main()
