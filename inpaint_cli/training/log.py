"""Report on a training: a progress bar, a log of JSON lines, trackers."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..files.write import atomic_path, write_error
from ..wording import printable
from .folder import event_step, read_lines
from .trackers import Trackers


def print_message(text: str) -> None:
    """Print to stderr, above the bar; of several processes only the first prints."""
    if os.environ.get("RANK", "0") == "0":
        tqdm.write(printable(text), file=sys.stderr)


class RunLog:
    """The log of a run, one JSON line per event, and its bar; nothing unless `writes`."""

    def __init__(
        self,
        path: Path,
        *,
        done: int,
        steps: int,
        trackers: Trackers | None = None,
        writes: bool = True,
    ) -> None:
        self.file, self.trackers = None, trackers
        if writes:
            kept = [line for line in read_lines(path) if event_step(line) <= done]
            with atomic_path(path) as temporary:
                temporary.write_text("".join(line + "\n" for line in kept), "utf-8")
            self.file = path.open("ab", buffering=0)
        self.steps, self.done = steps, done
        self.prints = writes and not sys.stderr.isatty()  # lines, where a bar would fill a file
        self.bar = tqdm(
            total=steps,
            initial=done,
            unit="step",
            dynamic_ncols=True,
            disable=self.prints or not writes,
        )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        for stream in filter(None, (self.file, self.trackers)):
            stream.close()

    def advance(self) -> None:
        """Move the bar by one step."""
        self.done += 1
        self.bar.update()

    def note(self, event: str, step: int, values: Mapping[str, Any]) -> None:
        """Write one event to disk. Raises `InpaintError` if that fails."""
        if self.file:
            line = json.dumps({"event": event, "step": step, **values}) + "\n"
            try:
                self.file.write(line.encode())
            except OSError as error:
                raise write_error(Path(self.file.name), error) from error
        if self.trackers:
            numbers = {f"{event}/{name}": value for name, value in flatten_numbers(values)}
            self.trackers.log(numbers, step)

    def picture(self, title: str, picture: Any, step: int) -> None:
        """Give a picture to the trackers."""
        if self.trackers:
            self.trackers.show(title, picture, step)

    def show(self, stage: str, losses: Mapping[str, float], speed: float, waited: float) -> None:
        """Show the latest numbers beside the bar, or on a line where there is no terminal."""
        terms = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
        text = f"{stage}: {terms}, {speed:.1f} images/s, data {waited:.0%}"
        self.bar.set_postfix_str(text)
        if self.prints:
            print_message(f"step {self.done} of {self.steps}, {text}")


def flatten_numbers(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return every number in a tree of values with its path."""
    return [(path, v) for path, v in flatten_values(values) if isinstance(v, int | float)]


def flatten_values(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is no mapping in a tree of values, with its path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten_values(value, f"{before}{key}/")
        else:
            yield f"{before}{key}", value
