"""Processes that are copies of this one, so that nothing is imported again: that takes seconds."""

import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerators import forget_accelerator


class Copy:
    """A copy of this process that does `work` and leaves at once; it is used as a `Popen` is.

    Its exit code is what `work` returns, or raises as SystemExit. With a `folder` it has a session
    of its own, and what it says is there.
    """

    def __init__(
        self, work: Callable[[], int | None], folder: Path | None = None, name: str = "copy"
    ) -> None:
        if torch.cuda.is_available():
            pytest.skip("autograd cannot be copied where there is a GPU")
        self.said = folder and folder / f"{name}.err"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other threads of pytest are left behind
            self.pid = os.fork()
        if not self.pid:
            self.live(work)
        self.code: int | None = None

    def live(self, work: Callable[[], int | None]) -> None:
        """Do the work and leave at once: what pytest has set up is not the copy's to end."""
        code = 1
        try:
            if self.said:
                os.setsid()
                sys.stdout = sys.stderr = self.said.open("w")
                for number in (1, 2):
                    os.dup2(sys.stderr.fileno(), number)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            forget_accelerator()
            try:
                code = work() or 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        if self.poll() is None:
            self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, timeout: float = 120) -> int:
        """Wait for its end; one that takes too long is killed."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.kill()
            time.sleep(0.02)
        return code


def run_two(work: Callable[[int], object], folder: Path) -> None:
    """Call `work(rank)` in two processes of one group, and raise where one of them fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    group |= {"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}

    def join(rank: int) -> None:
        warnings.simplefilter("ignore")  # DDP has advice on speed
        os.environ |= group | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        work(rank)
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # gloo aborts where one leaves while the other still talks

    twins = [Copy(lambda rank=rank: join(rank), folder, f"twin{rank}") for rank in range(2)]
    codes = [twin.wait() for twin in twins]
    assert codes == [0, 0], "\n".join(twin.said.read_text()[-3000:] for twin in twins)
