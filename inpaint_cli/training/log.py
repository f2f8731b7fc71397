"""Report on a training: a progress bar, a log of JSON lines, TensorBoard files."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import InpaintError
from ..files.write import atomic_path, write_error
from ..wording import printable


def print_message(text: str) -> None:
    """Print to stderr, above the bar; of several processes only the first prints."""
    if os.environ.get("RANK", "0") == "0":
        tqdm.write(printable(text), file=sys.stderr)


class RunLog:
    """The log of a run, one JSON line per event, and its bar; nothing unless `writes`."""

    def __init__(
        self, path: Path, *, done: int, steps: int, tensorboard: bool = False, writes: bool = True
    ) -> None:
        self.file = self.board = None
        if writes:
            kept = [line for line in read_lines(path) if event_step(line) <= done]
            with atomic_path(path) as temporary:
                temporary.write_text("".join(line + "\n" for line in kept), "utf-8")
            self.file = path.open("ab", buffering=0)
            self.board = open_tensorboard(path.parent) if tensorboard else None
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
        for stream in filter(None, (self.file, self.board)):
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
        if self.board:
            for name, value in flatten_numbers(values):
                self.board.add_scalar(f"{event}/{name}", value, step)

    def show(self, stage: str, losses: Mapping[str, float], speed: float, waited: float) -> None:
        """Show the latest numbers beside the bar, or on a line where there is no terminal."""
        terms = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
        text = f"{stage}: {terms}, {speed:.1f} images/s, data {waited:.0%}"
        self.bar.set_postfix_str(text)
        if self.prints:
            print_message(f"step {self.done} of {self.steps}, {text}")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the events in a log, without lines that are none."""
    return [event for line in read_lines(path) if (event := parse_event(line))]


def read_lines(path: Path) -> list[str]:
    """Return the complete lines of a log."""
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    return text[: text.rfind("\n") + 1].split("\n")[:-1]


def parse_event(line: str) -> dict[str, Any] | None:
    """Return the event in a line of a log, or None."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    good = isinstance(event, dict) and {"event", "step"} <= event.keys()
    return event if good and isinstance(event["step"], int) else None


def event_step(line: str) -> int:
    """Return the step of the event in a line, 0 for what somebody else has written there."""
    event = parse_event(line)
    return event["step"] if event else 0


def open_tensorboard(folder: Path) -> Any:
    """Return a writer of TensorBoard files. Raises `InpaintError` if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InpaintError(
            "--tensorboard needs a package that is not installed: pip install "
            "'inpaint-cli[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder))


def flatten_numbers(values: Mapping[str, Any], before: str = "") -> list[tuple[str, float]]:
    """Return every number in a tree of values with its path."""
    found: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += flatten_numbers(value, f"{before}{key}/")
        elif isinstance(value, int | float):
            found.append((f"{before}{key}", value))
    return found
