"""Parts that benchmarks share: interleaved timing, peaks, a page of results a script."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

RESULTS = Path(__file__).with_name("results")


def paired(*runs: Callable[[], object], rounds: int = 5) -> list[float]:
    """Median seconds of each of `runs`, taken in turn so that a slow moment hits all alike.

    Each round begins with another: who comes after whom decides what is in caches.
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
    """Print `text`, and make it the measured part of results/NAME.md, below `title` and `command`.

    The command is `python benchmarks/NAME.py` if nothing else is given. Remarks below the measured
    part stay.
    """
    command = command or f"python benchmarks/{name}.py"
    body = f"# {title}\n\nMeasured with `{command}`.\n\n{text.strip()}"
    print(body)
    path = RESULTS / f"{name}.md"
    page = path.read_text("utf-8") if path.exists() else ""
    remarks = page.partition("<!-- /measured -->\n")[2]
    path.write_text(f"<!-- measured -->\n\n{body}\n\n<!-- /measured -->\n{remarks}", "utf-8")


def record_sections(
    name: str,
    title: str,
    sections: Mapping[str, Callable[[], str]],
    only: Collection[str] = (),
    *,
    command: str = "",
) -> None:
    """Record a page of `sections` by their headings: those in `only` again, if any are given.

    The others stay as they are on the page, and so does its command.
    """
    if unknown := sorted({*only} - sections.keys()):
        raise SystemExit(f"no section is called {unknown[0]}; there are: {', '.join(sections)}")
    path = RESULTS / f"{name}.md"
    page = path.read_text("utf-8").partition("\n\n<!-- /measured")[0] if only else ""
    parts = []
    for heading, measure in sections.items():
        kept = page.partition(f"## {heading}\n\n")[2].partition("\n\n## ")[0]
        part = measure() if heading in only or not kept else kept
        parts.append(f"## {heading}\n\n{part}")
    command = page.partition("Measured with `")[2].partition("`")[0] or command
    record(name, title, "\n\n".join(parts), command=command)
