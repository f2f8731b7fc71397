"""What every benchmark shares: interleaved timing, peaks, a section of RESULTS.md a script."""

import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

RESULTS = Path(__file__).with_name("RESULTS.md")


def paired(*runs: Callable[[], object], rounds: int = 5) -> list[float]:
    """Median seconds of each of `runs`, taken in turn so that a slow moment hits all alike.

    Each round begins with another: who comes after whom decides what lies in caches.
    """
    for run in runs:
        run()  # warm caches and lazy imports
    times: list[list[float]] = [[] for _ in runs]
    for first in range(rounds):
        for n in range(len(runs)):
            which = (first + n) % len(runs)
            start = perf_counter()
            runs[which]()
            times[which].append(perf_counter() - start)
    return [median(taken) for taken in times]


def held(line: str = "VmHWM") -> float:
    """MiB of this process on Linux: its peak so far, or (`VmRSS`) what it holds now.

    `getrusage` would tell the peak of the process that started this one, where that is higher.
    """
    account = Path("/proc/self/status").read_text("ascii")
    return int(account.partition(f"{line}:")[2].split()[0]) / 1024


def record(name: str, title: str, text: str, *, command: str = "") -> None:
    """Print `text`, and make it the section `name` of RESULTS.md, below `title` and `command`.

    That is the command that measured it: `python benchmarks/NAME.py` if nothing else is given.
    """
    command = command or f"python benchmarks/{name}.py"
    body = f"## {title}\n\nMeasured with `{command}`.\n\n{text.strip()}"
    print(body)
    section = f"<!-- {name} -->\n\n{body}\n\n<!-- /{name} -->"
    page = RESULTS.read_text("utf-8") if RESULTS.exists() else "# Benchmark results\n"
    old = re.compile(rf"<!-- {name} -->.*<!-- /{name} -->", re.DOTALL)
    if old.search(page):
        page = old.sub(lambda _: section, page)
    else:
        page = f"{page.rstrip()}\n\n{section}\n"
    RESULTS.write_text(page, "utf-8")
