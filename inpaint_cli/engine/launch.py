"""Start a training again under Accelerate's launcher, one process a GPU."""

import signal
import subprocess
import sys
from collections.abc import Sequence

import torch

from ..errors import InpaintError


def launch(gpus: int, arguments: Sequence[str]) -> int:
    """Run `inpaint ARGUMENTS` in `gpus` processes; return its exit code.

    Signals reach the processes through the launcher, so that they save before they end.
    """
    if gpus > torch.cuda.device_count():
        raise InpaintError(
            f"--gpus {gpus}: this machine has {torch.cuda.device_count()} CUDA devices; "
            "leave the option out to train on what there is"
        )
    process = subprocess.Popen(command(gpus, arguments))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    return process.wait()


def command(processes: int, arguments: Sequence[str]) -> list[str]:
    """The launcher's command line for `inpaint ARGUMENTS` without its --gpus."""
    rest = list(arguments)
    for n, argument in enumerate(arguments):
        if argument == "--gpus":
            del rest[n : n + 2]
        elif argument.startswith("--gpus="):
            del rest[n]
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    count = ["--num_processes", str(processes), "--mixed_precision", "no"]
    return [sys.executable, *launcher, *count, "-m", "inpaint_cli", *rest]
