"""Run a function on many items in several processes.

Guarantees:

- Every item is yielded exactly once, with its result, or with None if its process died.
- A process that dies (a crash, out of memory) loses only its own item; another one replaces it.
- An item is not taken from the iterable before a process is free for it.
- No worker outlives the generator, nor this process, even if it is killed: each worker ends when
  its parent does.
- Workers ignore Ctrl-C; the parent gets it and ends them.
- Workers are not forked from this process, whose threads and CUDA context would not survive it.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Generic, TypeVar

from ..errors import InpaintError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ATTEMPTS = 3  # to start a process
StartWork = Callable[[], Callable[[ItemT], ResultT]]  # prepares once, returns the function


def run_in_workers(
    begin: StartWork[ItemT, ResultT],
    items: Iterable[ItemT],
    workers: int,
    *,
    preload: Sequence[str] = (),
) -> Generator[tuple[ItemT, ResultT | None], None, None]:
    """Yield each item with its result in order of completion, or with None if its process died.

    `begin` runs once in each process and returns the function for items. With one worker all
    happens in this process, in order. Otherwise `begin`, the items and the results are pickled, and
    an `InpaintError` of `begin` is raised here. The modules `preload` are imported once for all
    processes.
    """
    if workers == 1:
        work = begin()
        for item in items:
            yield item, work(item)
        return
    pool = WorkerPool(begin, iter(items), preload)
    try:
        for _ in range(workers):
            pool.start_worker()
        while pool.running:
            yield from pool.collect_results()
    finally:
        pool.kill_workers()


class WorkerPool(Generic[ItemT, ResultT]):
    """Processes, each with a pipe to this one and the item that it works on."""

    def __init__(
        self, begin: StartWork[ItemT, ResultT], items: Iterator[ItemT], preload: Sequence[str]
    ) -> None:
        posix = "forkserver" in get_all_start_methods()
        self.context = get_context("forkserver") if posix else get_context("spawn")
        self.context.set_forkserver_preload([*preload])
        self.begin, self.items = begin, items
        self.running: dict[Any, tuple[BaseProcess, ItemT]] = {}

    def start_worker(self) -> None:
        """Start a process with the next item, if there is one."""
        for item in self.items:
            ours, theirs = self.context.Pipe()
            process = self.launch(theirs)
            theirs.close()
            with suppress(OSError):  # it died already, which `collect_results` will see
                ours.send(item)
            self.running[ours] = process, item
            return

    def launch(self, pipe: Any) -> BaseProcess:
        """Start a process; the server that forks them may have been killed, and is replaced."""
        for _ in range(ATTEMPTS):
            process = self.context.Process(target=serve_items, args=(pipe, self.begin), daemon=True)
            try:
                process.start()
            except (OSError, EOFError):
                continue
            return process
        raise InpaintError("worker processes cannot be started here; leave out --workers")

    def collect_results(self) -> Iterator[tuple[ItemT, ResultT | None]]:
        """Wait for results; yield them, and give their processes the next items."""
        for pipe in wait([*self.running]):
            assert isinstance(pipe, Connection)
            process, item = self.running[pipe]
            try:
                result = pipe.recv()
            except (EOFError, OSError):  # a reset connection, where it died before it read
                del self.running[pipe]
                self.start_worker()
                yield item, None
                continue
            if isinstance(result, InpaintError):
                raise result
            for following in self.items:
                with suppress(OSError):  # it died meanwhile
                    pipe.send(following)
                self.running[pipe] = process, following
                break
            else:
                del self.running[pipe]
                pipe.close()
            yield item, result

    def kill_workers(self) -> None:
        """End all processes."""
        for process, _ in self.running.values():
            process.kill()
            process.join()


def serve_items(pipe: Connection, begin: StartWork[ItemT, ResultT]) -> None:
    """Receive items and send results, in a worker, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    Thread(target=exit_with_parent, daemon=True).start()
    with suppress(EOFError):
        try:
            work = begin()
        except InpaintError as error:
            pipe.send(error)
            return
        while True:
            pipe.send(work(pipe.recv()))


def exit_with_parent() -> None:
    """Wait for the parent process to end, then end this one at once."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
