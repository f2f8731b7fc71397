"""The paths in a run folder, and its log. No torch."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECIPE_NOTE = "# inpaint"  # how the recipe of a run begins: with the command or the version
STATE = re.compile(r"state-\d{8}\.pt")
KEPT_WEIGHTS = re.compile(r"weights-\d{8}\.safetensors")
MOST_POINTS = 2000  # of a curve in a report


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run's recipe, log, sheets, states and weights."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def lock(self) -> Path:
        """The file that a training holds locked while it runs."""
        return self.path / ".running"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    def sheet(self, step: int) -> Path:
        return self.path / "sheets" / f"{step:08d}.png"

    def states(self) -> list[Path]:
        """Return the saved states, oldest first."""
        return self.named(STATE)

    def named(self, pattern: re.Pattern[str]) -> list[Path]:
        """Return the files of the run whose names `pattern` matches, sorted."""
        return sorted(path for path in self.path.glob("*") if pattern.fullmatch(path.name))

    def is_begun(self) -> bool:
        """Whether a training began here and saved no state yet.

        One that was killed leaves its lock; what else it wrote by then is its own too.
        """
        names = {path.name for path in self.path.iterdir()}
        if names == {self.lock.name}:
            return True
        ours = self.recipe.is_file() and self.recipe.read_bytes().startswith(RECIPE_NOTE.encode())
        return ours and (self.lock.name in names or names <= {self.recipe.name, self.log.name})

    def kept(self, step: int) -> tuple[Path, Path]:
        """Return the paths of the state and the weights of one step."""
        return self.path / f"state-{step:08d}.pt", self.path / f"weights-{step:08d}.safetensors"

    def prune(self, last: int) -> None:
        """Remove all but the newest `last` states and weights."""
        for pattern in (STATE, KEPT_WEIGHTS):
            for old in self.named(pattern)[:-last]:
                old.unlink()


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


def log_curves(
    events: Sequence[Mapping[str, Any]], event: str, key: str
) -> dict[str, list[tuple[float, float]]]:
    """Return the curves in a log: lists of (step, value) by name, of `MOST_POINTS` at most."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in events:
        if line["event"] == event and key in line:
            values = line[key] if isinstance(line[key], Mapping) else {key: line[key]}
            for name, value in values.items():
                curves.setdefault(name, []).append((line["step"], value))
    return {name: points[:: -(-len(points) // MOST_POINTS)] for name, points in curves.items()}
