"""Do the same with many items, in several processes where that is wanted.

Knows nothing of what is done. A process that dies takes only its item with it, and when the
program is killed its processes follow.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import TypeVar

from ..errors import InpaintError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
StartWork = Callable[[], Callable[[ItemT], ResultT]]  # makes ready what every item needs


def run_in_workers(
    begin: StartWork[ItemT, ResultT],
    items: Iterable[ItemT],
    workers: int,
    *,
    preload: Sequence[str] = (),
) -> Generator[tuple[ItemT, ResultT | None], None, None]:
    """Yield each item with its result as they come, or with None where its process died.

    With one worker all happens in this process, and in order. Otherwise `begin`, the items and
    the results are pickled; an `InpaintError` of `begin` is raised here. The modules `preload`
    are imported once for all processes.
    """
    if workers == 1:
        work = begin()
        for item in items:
            yield item, work(item)
        return
    # not forked from here, where threads and CUDA may be running
    posix = "forkserver" in get_all_start_methods()
    context = get_context("forkserver") if posix else get_context("spawn")
    context.set_forkserver_preload([*preload])
    waiting = iter(items)
    crew = {}

    def hire() -> None:
        for item in waiting:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve_items, args=(theirs, begin), daemon=True)
            process.start()
            theirs.close()
            ours.send(item)
            crew[ours] = process, item
            return

    try:
        for _ in range(workers):
            hire()
        while crew:
            for pipe in wait([*crew]):
                assert isinstance(pipe, Connection)
                process, item = crew[pipe]
                try:
                    result = pipe.recv()
                except EOFError:
                    result = None
                    del crew[pipe]
                    hire()
                else:
                    if isinstance(result, InpaintError):
                        raise result
                    for following in waiting:
                        pipe.send(following)
                        crew[pipe] = process, following
                        break
                    else:
                        del crew[pipe]
                        pipe.close()
                yield item, result
    finally:
        for process, _ in crew.values():
            process.kill()
            process.join()


def serve_items(pipe: Connection, begin: StartWork[ItemT, ResultT]) -> None:
    """The life of a worker: items in, results out, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
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
    """End this process at once when the one that started it has ended."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
