"""Processes that SLURM's srun started, as torchrun's: by environment variables."""

import os
import re
import zlib

FIRST_PORT, PORTS = 20_000, 20_000  # of which a job step takes one by its number


def join_slurm() -> None:
    """Take the place of this process among those that srun started, if it did.

    torchrun and `accelerate launch` say it by the variables that are set here. A script of sbatch,
    which runs once, is no part of a step.
    """
    own = os.environ
    if "RANK" in own or int(own.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return
    own["RANK"], own["WORLD_SIZE"] = own["SLURM_PROCID"], own["SLURM_STEP_NUM_TASKS"]
    own["LOCAL_RANK"] = own.get("SLURM_LOCALID", "0")
    here = re.match(r"\d+", own.get("SLURM_STEP_TASKS_PER_NODE", ""))
    own.setdefault("LOCAL_WORLD_SIZE", here[0] if here else own["WORLD_SIZE"])
    own.setdefault("MASTER_ADDR", first_host(own.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    number = f"{own.get('SLURM_JOB_ID', '0')}.{own.get('SLURM_STEP_ID', '0')}"
    own.setdefault("MASTER_PORT", str(FIRST_PORT + zlib.crc32(number.encode()) % PORTS))


def first_host(nodes: str) -> str:
    """Return the first of the hosts that SLURM abbreviates.

    >>> first_host("gpu[03-05,9],login"), first_host("a1,a2")
    ('gpu03', 'a1')
    """
    found = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\])?([^,]*)", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes
