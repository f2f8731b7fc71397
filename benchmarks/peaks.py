"""The memory that filling a photo takes beyond the network, as `inpaint fill` does it: in windows.

`python benchmarks/peaks.py spn 1024` prints it in MiB: random weights, a hole of
3/8 of each side, which at 1024 with what surrounds it is one window of 512.
"""

import subprocess
import sys

import numpy as np
import torch
from table import held

import inpaint_cli
from inpaint_cli import registry
from inpaint_cli.models.choose import LoadedModel
from inpaint_cli.models.network import make_filler
from inpaint_cli.models.weights import make_network


def peak(name: str, side: int) -> float:
    """MiB, measured in a process of its own."""
    command = [sys.executable, __file__, name, str(side)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(name: str, side: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    architecture = registry.load_plugin("architectures", name)
    settings = architecture.settings()
    network = make_network(name, architecture, settings, architecture.build(settings))
    model = LoadedModel(name, make_filler(network, device="cpu"))
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    hole, edge = np.zeros((side, side), np.bool_), side * 5 // 16
    hole[edge:-edge, edge:-edge] = True
    before = held("VmRSS")
    inpaint_cli.fill(pixels, hole, model=model)
    print(held() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
