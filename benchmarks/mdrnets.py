"""MDRNets: the whole chain against its parts, and how much memory the correlation takes.

The network of the paper at its full width, on the CPU.
"""

import subprocess
import sys
from collections.abc import Callable

import torch
from table import held, paired, record

from inpaint_plugins.mdrnets import MDRNets
from inpaint_plugins.mdrnets.model import Correlation, shrink_hole, shrink_regions
from inpaint_plugins.mdrnets.settings import MDRNetSettings

SIDES = (1024, 2048)  # of the pictures whose correlation is weighed


def chain() -> list[str]:
    """One picture of 256 x 256: a row for each part, their sum, and the chain."""
    torch.manual_seed(0)
    net = MDRNets.build(MDRNetSettings()).eval()
    image, mask = torch.rand(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 1
    visible, hole = image * (1 - mask), shrink_hole(mask)
    coarse = torch.where(mask > 0, net.coarse(visible, mask).clamp(0, 1), visible)
    regions, features = shrink_regions(net.parser.parse_regions(coarse)), net.style(coarse)
    condition, *_ = net.make_condition(features, regions, hole)
    parts: dict[str, Callable[[], object]] = {
        "coarse": lambda: net.coarse(visible, mask),
        "parser, at 512": lambda: net.parser.parse_regions(coarse),
        "style encoder": lambda: net.style(coarse),
        "pooling, memory, correlation": lambda: net.make_condition(features, regions, hole),
        "refinement": lambda: net.refinement(coarse, mask, condition),
    }
    *times, whole = paired(*parts.values(), lambda: net(visible, mask), rounds=3)
    rows = [*zip(parts, times, strict=True), ("sum of the parts", sum(times))]
    rows.append((f"the chain: {whole / sum(times):.2f}x of the sum", whole))
    return [f"| {what} | {seconds * 1e3:.0f} |" for what, seconds in rows]


def weigh(side: int) -> float:
    """Peak MiB that correlating the features of a picture adds to the process that holds them."""
    mcm = Correlation(256, patch=4, keys="all")
    features = torch.randn(1, 256, side // 4, side // 4)
    hole = torch.ones(1, 1, side // 4, side // 4)
    mcm(torch.randn(1, 256, 16, 16), hole[..., :16, :16])
    before = held("VmRSS")
    mcm(features, hole)
    return held() - before


def main() -> None:
    torch.set_num_threads(2)
    lines = ["| one picture of 256 x 256 | ms |", "| --- | --: |", *chain(), ""]
    lines += [
        "| correlation, of a picture of | its features, MiB | all similarities, MiB | added, MiB |",
        "| --- | --: | --: | --: |",
    ]
    for side in SIDES:
        command = [sys.executable, __file__, str(side)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cells = (side // 4) ** 2
        own, full = cells * 256 * 4 / 2**20, (cells // 16) ** 2 * 4 / 2**20
        lines.append(f"| {side} x {side} | {own:.0f} | {full:.0f} | {float(done.stdout):.0f} |")
    head = (
        "Forward at the paper's width, float32, two threads, medians of interleaved "
        "runs. The correlation\nholds at most 64 MiB of similarities at once, whatever the size; "
        "the rest of what it adds are its\npatches, which grow with the picture as the features "
        "do.\n\n"
    )
    record("mdrnets", "MDRNets", head + "\n".join(lines))


if __name__ == "__main__":
    with torch.inference_mode():
        print(weigh(int(sys.argv[1]))) if len(sys.argv) > 1 else main()
