"""What glibc's habit of giving large tensors back costs a forward on a CPU.

LaMa (random weights) at 512 x 512 in processes of their own, with `devices.keep_memory` and
without, in turn: processor time of one forward in user code and in the kernel, and wall time.
"""

import subprocess
import sys
from statistics import median

from table import record

ROUNDS = 3
PROBE = """
import os, sys, time
import torch
from inpaint_cli import registry
from inpaint_cli.runtime import devices

torch.set_num_threads(2)
if sys.argv[1] == "kept":
    assert devices.keep_freed_memory(), "glibc on Linux only"
lama = registry.load_plugin("architectures", "lama")
torch.manual_seed(0)
net = lama.build(lama.settings()).eval()
image, mask = torch.rand(1, 3, 512, 512), torch.zeros(1, 1, 512, 512)
mask[..., 150:350, 150:350] = 1
with torch.inference_mode():
    net(image * (1 - mask), mask)
    runs = []
    for _ in range(3):
        before, start = os.times(), time.perf_counter()
        net(image * (1 - mask), mask)
        wall, after = time.perf_counter() - start, os.times()
        runs.append((after.user - before.user, after.system - before.system, wall))
print(*min(runs, key=lambda run: run[0] + run[1]))
"""


def main() -> None:
    runs: dict[str, list[list[float]]] = {"given back": [], "kept": []}
    for _ in range(ROUNDS):
        for how, taken in runs.items():
            done = subprocess.run(
                [sys.executable, "-c", PROBE, how], check=True, capture_output=True, text=True
            )
            taken.append([float(part) for part in done.stdout.split()])
    rows = [
        "| freed memory is | user (s) | kernel (s) | wall (s) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for how, taken in runs.items():
        user, kernel, wall = (median(column) for column in zip(*taken, strict=True))
        rows.append(f"| {how} | {user:.2f} | {kernel:.2f} | {wall:.2f} |")
    ratio = median(sum(k[:2]) / sum(g[:2]) for g, k in zip(*runs.values(), strict=True))
    rows.append(f"\nProcessor time kept / given back, median of pairs: {ratio:.2f}")
    record("memory", "Freed memory", "\n".join([__doc__ or "", *rows]))


if __name__ == "__main__":
    main()
