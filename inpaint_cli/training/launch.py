"""Run a training in several processes, one per GPU."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import torch

from ..errors import InpaintError

GRACE = 30  # seconds for the other processes to end after one has failed


def is_launched() -> bool:
    """Whether this is one of several processes that somebody started together."""
    return "LOCAL_RANK" in os.environ


def launch_processes(gpus: int, arguments: Sequence[str]) -> int:
    """Run `inpaint ARGUMENTS` in `gpus` processes; return the exit code of the first that fails.

    Ctrl-C reaches all of them, and SIGTERM is passed on, so that they save and end. Raises
    `InpaintError` if there are fewer GPUs.
    """
    if gpus > torch.cuda.device_count():
        raise InpaintError(
            f"--gpus {gpus}: this machine has {torch.cuda.device_count()} CUDA devices; "
            "leave the option out to train on one"
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(gpus),
        "LOCAL_WORLD_SIZE": str(gpus),
    }
    command = [sys.executable, "-m", "inpaint_cli", *arguments]
    processes = [
        subprocess.Popen(command, env=shared | {"RANK": str(n), "LOCAL_RANK": str(n)})
        for n in range(gpus)
    ]

    def pass_on(number: int, _: object) -> None:
        for process in processes:
            process.send_signal(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    code = wait_for_processes(processes)
    with suppress(subprocess.TimeoutExpired):
        for process in processes:
            process.wait(GRACE)
    for process in processes:
        process.kill()  # it may wait for one that has ended
    return code if code >= 0 else 128 - code  # as shells report a signal


def wait_for_processes(processes: Sequence[subprocess.Popen]) -> int:
    """Wait until one of `processes` fails, and return its exit code, or until all succeed."""
    while True:
        codes = [process.poll() for process in processes]
        if any(codes) or None not in codes:
            return next(filter(None, codes), 0)
        time.sleep(0.1)
