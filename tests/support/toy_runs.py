"""Trainings of the toys, in this process."""

from pathlib import Path

import torch
from accelerators import forget_accelerator

from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.training import run
from inpaint_cli.training.checkpoint import read_state
from inpaint_cli.training.folder import RunFolder


def go(site, folder, *overrides, architecture="toy", **options):
    """Train by the recipe of `site`, into `folder`."""
    forget_accelerator()
    plan, source = read_recipe(site / "toy.yaml", overrides)
    given = {"data": site / "photos", "folder": folder and Path(folder), "workers": 0} | options
    return run.run_training(architecture, plan, source, run.TrainOptions(**given))


def tensors(folder, step=None):
    """The tensors of the state after `step`, or of the last one."""
    states = RunFolder(Path(folder)).states()
    state = read_state(states[-1] if step is None else RunFolder(Path(folder)).kept(step)[0])
    return {f"{part}.{k}": v for part in ("task", "average") for k, v in state[part].items()}


def same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key
