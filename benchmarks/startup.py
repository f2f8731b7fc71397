"""Start-up: what asking costs beside a bare click group, and a fill beside a bare script.

Everything is run as a process, in turn; times are processor seconds, medians. The group has as many
commands as ours, each with one option. The script reads with Pillow, calls `cv2.inpaint` and
writes. Memory is the largest peak. With `--before PYTHON`, of another version's environment, that
version's fills are measured too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from table import record

from inpaint_cli.cli import COMMANDS

GROUP = """
import click
@click.group()
def main(): "Fill holes in photos."
{commands}
main(prog_name="peer")
"""
COMMAND = """
@main.command(help={line!r})
@click.option("--json", is_flag=True, help="Print JSON.")
def command_{n}(json): ...
"""
SCRIPT = """
import sys, cv2, numpy as np
from PIL import Image
photo = np.array(Image.open(sys.argv[1]).convert("RGB"))
hole = (np.array(Image.open(sys.argv[2]).convert("L")) > 127).astype(np.uint8)
filled = cv2.inpaint(photo, hole, 3, getattr(cv2, sys.argv[3]))
Image.fromarray(filled).save("script.jpg", quality=90)
"""
PICTURES = """
import numpy as np
from PIL import Image
from skimage import data
Image.fromarray(data.coffee()).resize((768, 512)).save("photo.jpg", quality=90)
scratches = np.zeros((512, 768), np.uint8)
scratches[100:110, 50:700] = scratches[300:420, 200:203] = 255
Image.fromarray(scratches).save("scratches.png")
Image.fromarray(data.astronaut()).save("square.png")
hole = np.zeros((512, 512), np.uint8)
hole[128:384, 128:384] = 255
Image.fromarray(hole).save("hole.png")
"""
OURS = ["-c", "from inpaint_cli.cli import main; main(prog_name='inpaint')"]


def measure(runs: dict[str, Sequence[str]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median processor seconds and the peak MB of each, taken in turn."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    peaks = dict.fromkeys(runs, 0.0)
    for n in range(rounds + 1):
        for name, command in runs.items():
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            child = subprocess.Popen(command, env=environment, **quiet)
            _, status, usage = os.wait4(child.pid, 0)
            assert status == 0, name
            if n:  # the first round warms caches, and compiles modules as an installation does
                seconds[name].append(usage.ru_utime + usage.ru_stime)
                peaks[name] = max(peaks[name], usage.ru_maxrss / 1024)
    return {name: (median(taken), peaks[name]) for name, taken in seconds.items()}


def fill(python: str, model: str) -> list[str]:
    small = model == "patchmatch"
    photo, mask = ("square.png", "hole.png") if small else ("photo.jpg", "scratches.png")
    output = f"out{Path(photo).suffix}"
    line = ["fill", photo, "--mask", mask, "--model", model, "-o", output]
    return [python, "-m", "inpaint_cli", *line, "--overwrite"]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--before", help="the Python of another version's environment")
    words.add_argument("--rounds", type=int, default=7)
    given = words.parse_args()
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([python, "-c", PICTURES], check=True)  # this process must stay small
        lines = enumerate(COMMANDS.values())
        commands = "".join(COMMAND.format(n=n, line=line) for n, line in lines)
        Path("group.py").write_text(GROUP.format(commands=commands))
        Path("script.py").write_text(SCRIPT)
        asking = {
            "a bare click group, `--help`": [python, "group.py", "--help"],
            "`inpaint --help`": [python, *OURS, "--help"],
            "`inpaint plugins`": [python, *OURS, "plugins"],
            "`inpaint models`": [python, *OURS, "models"],
            "bare Python": [python, "-c", "pass"],
            "`import inpaint_cli`": [python, "-c", "import inpaint_cli"],
        }
        fills = {}
        for model, method in (("telea", "INPAINT_TELEA"), ("ns", "INPAINT_NS")):
            script = [python, "script.py", "photo.jpg", "scratches.png", method]
            fills |= {f"bare script, {model}": script, f"`{model}`": fill(python, model)}
        fills |= {f"`{model}`": fill(python, model) for model in ("biharmonic", "patchmatch")}
        if given.before:
            models = ("telea", "ns", "biharmonic", "patchmatch")
            fills |= {f"`{m}` before": fill(given.before, m) for m in models}
        asked, filled = measure(asking, 2 * given.rounds), measure(fills, given.rounds)
    record("startup", "Start-up", f"{asking_table(asked)}\n\n{fill_table(filled)}")


def asking_table(found: dict[str, tuple[float, float]]) -> str:
    bare = found["a bare click group, `--help`"][0]
    lines = ["| command | processor ms | to the bare group | peak MB |", "| --- |" + " ---: |" * 3]
    for name, (seconds, peak) in found.items():
        lines.append(f"| {name} | {1000 * seconds:.0f} | {seconds / bare:.2f} | {peak:.0f} |")
    return "\n".join(lines)


def fill_table(found: dict[str, tuple[float, float]]) -> str:
    lines = [
        "A photo of 512 x 768 with scratches; for `patchmatch` 512 x 512 with a hole of 25 %.",
        "",
        "| fill from the shell | processor s | ratio | peak MB |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, (seconds, peak) in found.items():
        model = name.strip("`")
        peer = found.get(f"bare script, {model}") or found.get(f"{name} before")
        ratio = f"{seconds / peer[0]:.2f}" if peer else ""
        lines.append(f"| {name} | {seconds:.2f} | {ratio} | {peak:.0f} |")
    return "\n".join([*lines, "", "Ratios: to the bare script, or else to the version before."])


if __name__ == "__main__":
    main()
