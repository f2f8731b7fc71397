"""Every architecture trains in two processes, which hold the same network at every step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small import SMALL

from inpaint_cli import registry

SUPPORT = Path(__file__).parent.parent / "support"

WORKER = """
import sys
sys.path.insert(0, {support!r})
import torch
torch.set_num_threads(1)
from accelerate import Accelerator
from small import build_small
from inpaint_cli.api.architectures import Batch
from inpaint_cli.training.loop import train_stages

a = Accelerator(cpu=True)
assert a.num_processes == 2

def flat(task):
    return torch.cat([value.double().flatten() for value in task.state_dict().values()])

for name in {names!r}:
    built = build_small(name, steps=2)

    def batches(stage, first):
        for step in range(first, 99):
            torch.manual_seed(2 * step + a.process_index)
            mask = torch.zeros(2, 1, 64, 64)
            mask[..., 16:40, 16:40] = 1
            yield Batch(torch.rand(2, 3, 64, 64), mask, large=torch.rand(2, 3, 128, 128))

    image = next(batches("", 0)).image.mean()
    assert a.gather(image[None]).unique().numel() == 2
    old, done = flat(built.task), 0
    for step in train_stages(built.task, built.stages, batches, a, seed=0):
        new, done = flat(built.task), done + 1
        one, other = a.gather(new[None])
        assert torch.equal(one, other), (name, step.stage, step.done)
        assert not torch.equal(old, new), (name, step.stage, step.done)
        old = new
    assert done == built.steps
    for scale in getattr(built.task, "scales", None) or ():
        assert scale.seen[-1] == 2 * 2 * built.stages["fill"].steps  # images of both
    if a.is_main_process:
        print("agree", name, flush=True)
a.wait_for_everyone()  # gloo aborts where one leaves while the other still talks
torch.distributed.destroy_process_group()
"""


@pytest.mark.ddp
@pytest.mark.slow  # half a minute
def test_two_processes_hold_the_same_network_after_every_step(tmp_path):
    names = [name for name in registry.find_plugins("architectures") if name in SMALL]
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(support=str(SUPPORT), names=names))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, *launch], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [f"agree {name}" for name in names]
