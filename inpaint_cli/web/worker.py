"""The one process that decodes, fills and writes, so that no crash and no cancel ends the page."""

import signal
import sys
import traceback
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from threading import RLock, Thread
from typing import Any

from ..errors import InpaintError
from ..runtime.workers import exit_with_parent
from .exchange import Report


class Worker:
    """A process with a `Bench`, which does one thing after the other; started when needed."""

    def __init__(self) -> None:
        self.turn = RLock()
        self.process: BaseProcess | None = None
        self.pipe: Any = None  # a `Connection`, of another class on Windows

    def start(self) -> Any:
        """Return the pipe to the process, which is started if none is running."""
        if self.process is None or not self.process.is_alive():
            context = get_context("spawn")  # threads of this process would not survive a fork
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=serve_bench, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        return self.pipe

    def call(self, method: str, report: Report | None = None, **arguments: Any) -> Any:
        """Return what `method` of the bench returns for `arguments`; wait for earlier calls.

        Raises the `InpaintError` that it raises, and one where the process ends meanwhile.
        """
        with self.turn:
            pipe = self.start()
            try:
                pipe.send((method, arguments))
                while True:
                    kind, value = pipe.recv()
                    if kind == "report":
                        if report:
                            report(**value)
                    elif kind == "error":
                        raise value
                    else:
                        return value
            except (EOFError, OSError) as error:
                self.kill()
                raise InpaintError(
                    "the process that does the work has ended, perhaps for lack of memory; the"
                    " mask is kept: try again with smaller windows, or another model"
                ) from error

    def warm(self) -> None:
        """Start the process now, in the background, so that the first call need not wait."""
        Thread(target=self.call, args=("wait",), daemon=True).start()

    def kill(self) -> None:
        """End the process, whatever it is doing; the next call starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.join()


def serve_bench(pipe: Any) -> None:
    """Do what comes through `pipe`, in the worker, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    Thread(target=exit_with_parent, daemon=True).start()
    from .bench import Bench

    bench = Bench(lambda **event: pipe.send(("report", event)))
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(run_method(bench, method, arguments))


def run_method(bench: Any, method: str, arguments: dict[str, Any]) -> tuple[str, Any]:
    """Return ("value", what it returned), or ("error", an `InpaintError`)."""
    try:
        return "value", getattr(bench, method)(**arguments)
    except InpaintError as error:
        return "error", error
    except MemoryError:
        return "error", InpaintError("there is not enough memory; close other programs")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return "error", InpaintError(f"{where}{error.strerror or error}; nothing was saved")
    except Exception as error:  # ours to mend: the traceback is for the report
        traceback.print_exc(file=sys.stderr)
        return "error", InpaintError(f"the program failed: {error!r}; please report this")
