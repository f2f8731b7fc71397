"""Trainings in processes: killed, interrupted, several at once, two that are as one."""

import os
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from places import SUPPORT
from small import SMALL, build_small
from toy_runs import go, same, tensors
from twins import Copy, run_two

from inpaint_cli import registry
from inpaint_cli.api.architectures import Batch
from inpaint_cli.cli import main
from inpaint_cli.training import launch as launcher
from inpaint_cli.training import stopping
from inpaint_cli.training.checkpoint import read_state
from inpaint_cli.training.folder import RunFolder, read_log
from inpaint_cli.training.loop import train_stages


def arguments(site, folder, *more):
    """The command line of a training."""
    line = ["train", "toy", str(site / "toy.yaml"), "--workers", "0"]
    return [*line, "--data", str(site / "photos"), "--run-folder", str(folder), *more]


def inpaint(line):
    sys.argv = ["inpaint", *line]
    main()


def environment(site):
    path = os.pathsep.join([str(site), str(SUPPORT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "INPAINT_OFFLINE": "1"}


def test_killed_or_interrupted_it_goes_on(toys, tmp_path):
    """By SIGKILL after some save; by SIGTERM, which saves, prints the line and exits with 130."""
    line = arguments(toys, "run", "--set", "architectures.toy.stages.fill.steps=300")
    folder = tmp_path / "run"
    killed = Copy(lambda: inpaint(line), tmp_path)
    wait_for(lambda: len(RunFolder(folder).states()) > 3, killed)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    left = RunFolder(folder).states()[-1]
    assert list(folder.glob("*.tmp")) == []
    stopped = Copy(lambda: inpaint([*line, "--resume"]), tmp_path)
    wait_for(lambda: RunFolder(folder).states()[-1] > left, stopped)
    os.kill(stopped.pid, signal.SIGTERM)
    assert stopped.wait() == 130
    told = stopped.said.read_text()
    last = read_state(RunFolder(folder).states()[-1])["done"]
    assert f"Stopped after step {last}. Continue with:" in told
    assert told.rstrip().endswith("--resume")
    go(toys, tmp_path / "whole", f"architectures.toy.stages.fill.steps={last - 4}")
    same(tensors(folder), tensors(tmp_path / "whole"))


def wait_for(ready, process, seconds=120):
    until = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.02)


def test_processes_agree_about_once_a_second(monkeypatch):
    """At the same steps, whatever the clock of each says."""

    class Two:
        num_processes, device = 2, torch.device("cpu")

        def reduce(self, tensor, how):
            assert how == "sum"
            return tensor * 2  # the other process says the same

    def asked(seconds):
        """The first steps, of so many seconds each, after which they ask."""
        accord, found = stopping.StopAgreement([], Two(), since=0), []
        for step in range(1, 40):
            monkeypatch.setattr("time.perf_counter", lambda now=step * seconds: now)
            before = accord.since
            assert not accord(step)
            found += [step] if accord.since != before else []
        return found

    assert asked(5) == [*range(1, 40)]
    assert asked(0.4) == [1, *range(3, 40, 2)]
    assert asked(0.01) == [1, 11, 21, 31]
    assert stopping.StopAgreement([signal.SIGINT], Two())(1)


def launch(site, line, start):
    torch.cuda.device_count = lambda: 2
    launcher.subprocess = SimpleNamespace(Popen=start, TimeoutExpired=subprocess.TimeoutExpired)
    os.environ |= environment(site)
    inpaint(line)


def start_copy(command, env):
    def train():
        os.environ.update(env)
        inpaint(command[3:])

    return Copy(train)


@pytest.mark.ddp
def test_several_processes_stop_as_one_does(toys, tmp_path):
    """By SIGTERM for the launcher; taken up by the line that is printed, by Ctrl-C for all.

    At first they are started as for a user, then as copies, which takes a tenth of the time.
    """
    folder = tmp_path / "run"
    line = arguments(toys, folder, "--set", "architectures.toy.stages.fill.steps=9999")
    line += ["--gpus", "2"]
    ways = (subprocess.Popen, os.kill, signal.SIGTERM), (start_copy, os.killpg, signal.SIGINT)
    for start, stop, number in ways:
        before = RunFolder(folder).states()[-1:]
        copy = Copy(partial(launch, toys, line, start), tmp_path)
        wait_for(lambda old=before: RunFolder(folder).states()[-1:] > old, copy)
        stop(copy.pid, number)
        code, told = copy.wait(), copy.said.read_text()
        assert code == 130, told
        assert "Traceback" not in told
        line = shlex.split(told.splitlines()[-1])[1:]
        assert line[-3:] == ["--gpus", "2", "--resume"]
    last = read_state(RunFolder(folder).states()[-1])["done"]
    assert f"Stopped after step {last}. Continue with:" in told


@pytest.mark.ddp
def test_two_processes_are_one(toys, tmp_path):
    """The same batches, memories and scores; weights to rounding."""
    plain = "metrics=[{kind: psnr, region: hole}]"

    def train_share(rank):
        go(toys, "two", plain, "batch=4", architecture="plain")
        assert PartialState().num_processes == 2
        go(toys, "toys")

    run_two(train_share, tmp_path)
    go(toys, "one", plain, "batch=4", architecture="plain")
    one, two = tensors("one"), tensors("two")
    for key, value in one.items():
        assert torch.allclose(value, two[key], rtol=1e-5, atol=1e-6), key
    scores = [
        next(e["scores"] for e in read_log(Path(run) / "log.jsonl") if e["event"] == "validation")
        for run in ("one", "two")
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)
    assert Path("toys/weights.safetensors").is_file()


def flat(task):
    return torch.cat([value.double().flatten() for value in task.state_dict().values()])


@pytest.mark.ddp
@pytest.mark.parametrize("name", [n for n in registry.find_plugins("architectures") if n in SMALL])
def test_two_processes_hold_the_same_network_after_every_step(name, tmp_path):
    def train_share(rank):
        a = Accelerator(cpu=True)
        assert a.num_processes == 2
        built = build_small(name, steps=2)

        def batches(stage, first):
            for step in range(first, 99):
                torch.manual_seed(2 * step + rank)
                mask = torch.zeros(2, 1, 64, 64)
                mask[..., 16:40, 16:40] = 1
                yield Batch(torch.rand(2, 3, 64, 64), mask, large=torch.rand(2, 3, 128, 128))

        image = next(batches("", 0)).image.mean()
        assert a.gather(image[None]).unique().numel() == 2
        old, done = flat(built.task), 0
        for step in train_stages(built.task, built.stages, batches, a, seed=0):
            new, done = flat(built.task), done + 1
            one, other = a.gather(new[None])
            assert torch.equal(one, other), (step.stage, step.done)
            assert not torch.equal(old, new), (step.stage, step.done)
            old = new
        assert done == built.steps
        for scale in getattr(built.task, "scales", None) or ():
            assert scale.seen[-1] == 2 * 2 * built.stages["fill"].steps  # images of both

    run_two(train_share, tmp_path)
