"""GM-SRM: modulated convolutions in two forms, the whole network, and its peak of memory.

Random weights, full width, inference. `best` is the form that `modulate_conv` selects for a shape.
`python benchmarks/gmsrm.py cuda` measures on a GPU instead of the CPU.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from peaks import peak
from table import paired, record

from inpaint_plugins.gmsrm import memory
from inpaint_plugins.gmsrm.model import GMSRMNet
from inpaint_plugins.gmsrm.settings import GMSRMSettings

LAYERS = (  # pixels a side, channels in and out: the first convolution of each level at 256
    (4, 1024, 512),
    (8, 1024, 512),
    (16, 1024, 512),
    (32, 768, 512),
    (64, 640, 256),
    (128, 320, 128),
    (256, 132, 64),
)
SIDES = (256, 1024)  # of pictures whose peak is measured; the engine's windows end at 512

PEAK = """
import torch
from table import held
from inpaint_plugins.gmsrm.model import GMSRMNet
from inpaint_plugins.gmsrm.settings import GMSRMSettings
torch.manual_seed(0)
torch.set_num_threads(2)
net = GMSRMNet(GMSRMSettings()).eval()
with torch.inference_mode():
    net(torch.rand(1, 3, 128, 128), torch.zeros(1, 1, 128, 128))
    before = held("VmRSS")
    net(torch.rand(1, 3, {side}, {side}), torch.zeros(1, 1, {side}, {side}))
print(held() - before)
"""


def waited(run, device: str) -> None:
    run()
    if device == "cuda":
        torch.cuda.synchronize()


def layers(device: str, batch: int) -> list[str]:
    """A row for each layer: ms of both forms, and of what is chosen over the faster."""
    rows = []
    for side, inputs, outputs in LAYERS:
        x = torch.randn(batch, inputs, side, side, device=device)
        weight = torch.randn(outputs, inputs, 3, 3, device=device)
        style = torch.randn(batch, inputs, device=device)
        forms = "grouped", "scaled", None
        runs = [partial(memory.modulate_conv, x, weight, style, form=form) for form in forms]
        one, other = runs[0](), runs[1]()
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        timed = [partial(waited, run, device) for run in runs]
        grouped, scaled, best = paired(*timed, rounds=3)
        cells = " | ".join(f"{seconds * 1e3:.2f}" for seconds in (grouped, scaled, best))
        ratio = best / min(grouped, scaled)
        rows.append(f"| {batch} | {side} | {inputs} to {outputs} | {cells} | {ratio:.2f}x |")
    return rows


def whole(device: str) -> list[str]:
    """ms of the network at 256 with every form, and with the choice."""
    net = GMSRMNet(GMSRMSettings()).eval().to(device)
    image = torch.rand(1, 3, 256, 256, device=device)
    mask = torch.zeros(1, 1, 256, 256, device=device)
    mask[..., 64:192, 64:192] = 1
    best = memory.modulate_conv

    def run(form: memory.ModulationForm | None) -> None:
        with patch.object(memory, "modulate_conv", partial(best, form=form)):
            waited(lambda: net(image * (1 - mask), mask), device)

    times = paired(*(partial(run, form) for form in ("grouped", "scaled", None)), rounds=3)
    cells = " | ".join(f"{seconds * 1e3:.0f}" for seconds in times)
    return [f"| 1 | 256 | the network | {cells} | {times[2] / min(times[:2]):.2f}x |"]


def peaks() -> list[str]:
    """MiB that a forward on the CPU adds to the weights, in a process of its own."""
    rows = []
    for side in SIDES:
        code = PEAK.format(side=side)
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parent,
        )
        rows.append(f"| {side} x {side}, in one piece | {float(done.stdout):.0f} |")
    rows.append(f"| 1024 x 1024, by `fill` | {peak('gmsrm', 1024):.0f} |")
    return rows


def main(device: str = "cpu") -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    lines = [
        "Inference, float32, medians of interleaved runs.",
        "",
        "| batch | side | channels | grouped, ms | scaled, ms | best, ms | best / faster |",
        "| --: | --: | --- | --: | --: | --: | --: |",
    ]
    with torch.inference_mode():
        for batch in (1, 4):
            lines += layers(device, batch)
        lines += whole(device)
    if device == "cpu":
        lines += ["", "| picture | added by a forward, MiB |", "| --- | --: |", *peaks()]
    cpu = device == "cpu"
    record(
        "gmsrm" if cpu else f"gmsrm-{device}",
        f"GM-SRM, {device}",
        "\n".join(lines),
        command="python benchmarks/gmsrm.py" + ("" if cpu else f" {device}"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
