"""Fills that go on in the background, watched by pages that may come and go."""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Condition, Thread
from time import monotonic
from typing import Any, Literal

from ..errors import InpaintError

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDS: tuple[JobState, ...] = ("done", "failed", "cancelled")
KEPT_JOBS = 50  # that have ended


class Job:
    """One fill: how far it is, and how it ended."""

    def __init__(self, photo: str) -> None:
        self.id, self.photo = secrets.token_hex(8), photo
        self.state: JobState = "waiting"
        self.notes: list[str] = []
        self.done = self.total = self.version = 0
        self.result: dict[str, Any] | None = None
        self.error = ""
        self.begin = monotonic()
        self.news = Condition()

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    def update(self, **values: Any) -> None:
        """Set `values`, and wake those who wait for news; what has ended stays as it is."""
        with self.news:
            if not self.ended:
                vars(self).update(values)
                self.version += 1
                self.news.notify_all()

    def cancel(self) -> bool:
        """End it; whether it was running."""
        with self.news:
            running = self.state == "running"
            self.update(state="cancelled")
        return running

    def report(self, note: str = "", **counts: int) -> None:
        """Take what the worker says: a sentence, or windows done and their total."""
        self.update(**counts, **({"notes": [*self.notes, note]} if note else {}))

    def to_dict(self, seen: int = -1, patience: float = 0.0) -> dict[str, Any]:
        """Return it as values of JSON, once it is newer than version `seen`, or at last anyway."""
        with self.news:
            self.news.wait_for(lambda: self.version > seen or self.ended, patience)
            names = ("id", "photo", "state", "notes", "done", "total", "version", "result", "error")
            values = {name: getattr(self, name) for name in names}
        return values | {"seconds": round(monotonic() - self.begin, 2)}


class Jobs:
    """All jobs by their id; the oldest that have ended are forgotten."""

    def __init__(self) -> None:
        self.known: dict[str, Job] = {}

    def start(
        self, photo: str, turn: AbstractContextManager[Any], work: Callable[[Job], dict[str, Any]]
    ) -> Job:
        """Run `work` in a thread when it is its `turn`; what it returns is the job's result."""
        job = Job(photo)
        ended = [key for key, old in [*self.known.items()] if old.ended]
        for key in ended[:-KEPT_JOBS]:
            del self.known[key]
        self.known[job.id] = job

        def run() -> None:
            try:
                with turn:
                    job.update(state="running")
                    if not job.ended:
                        job.update(result=work(job), state="done")
            except InpaintError as error:
                job.update(error=str(error), state="failed")
            except OSError as error:
                job.update(error=f"{error.strerror or error}; nothing was changed", state="failed")

        Thread(target=run, daemon=True).start()
        return job

    def of_photo(self, photo: str) -> list[Job]:
        """The jobs of a photo that have not ended."""
        return [job for job in [*self.known.values()] if job.photo == photo and not job.ended]
