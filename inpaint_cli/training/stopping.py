"""Stop a training at a signal, in all of its processes after the same step."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

MOST_STEPS = 10  # between two times that processes ask each other for signals


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Yield a list to which the first SIGINT or SIGTERM is added; a second has its usual effect.

    In a thread other than the main one signals cannot be caught, and the list stays empty.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number in signals:
            signal.signal(number, before[number])

    def catch(number: int, _: object) -> None:
        caught.append(number)
        restore()

    for number in signals:
        signal.signal(number, catch)
    try:
        yield caught
    finally:
        restore()


@dataclass
class StopAgreement:
    """Call it after each step: it returns True if any process of the training caught a signal.

    Processes ask each other about once a second, and always after the same steps: the answer waits
    for the device.
    """

    signals: Sequence[int]  # that this process caught
    accelerator: Accelerator
    every: int = 1
    due: int = 0
    since: float = field(default_factory=time.perf_counter)

    def __call__(self, done: int) -> bool:
        if self.accelerator.num_processes == 1:
            return bool(self.signals)
        if done < self.due:
            return False
        now = time.perf_counter()
        pace = min(max(int(self.every / (now - self.since)), 1), MOST_STEPS)
        own = torch.tensor([bool(self.signals), pace], device=self.accelerator.device)
        total: Any = self.accelerator.reduce(own, "sum")
        stops, paces = total.tolist()
        self.every, self.since = paces // self.accelerator.num_processes, now
        self.due = done + self.every
        return stops > 0
