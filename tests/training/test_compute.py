"""How a device computes a training: algorithms, copies, and what is said where it fails."""

import io
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerators import forget_accelerator
from small import build_small
from toy import ToyTask, batches, toy
from toy_runs import go

from inpaint_cli.api.stages import Optimizer
from inpaint_cli.errors import RecipeError, TrainingError
from inpaint_cli.models.network import NetworkFiller, Sizes
from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.runtime.devices import choose_algorithms
from inpaint_cli.training import loop, memory
from inpaint_cli.training.checkpoint import read_state, recipe_changes
from inpaint_cli.training.folder import RunFolder
from inpaint_cli.training.loop import make_optimizer, train_stages
from inpaint_cli.training.transfer import BatchCopier

ORDERED = "compute.channels_last=true"
CUDNN = torch.backends.cudnn


def train(site, folder, *overrides, **options):
    """Return the task that a training of the toys ends with."""
    go(site, folder, *overrides, **options)
    return read_state(RunFolder(Path(folder)).states()[-1])["task"]


def switches():
    precision = torch.get_float32_matmul_precision()
    return (
        precision,
        CUDNN.allow_tf32,
        CUDNN.benchmark,
        torch.are_deterministic_algorithms_enabled(),
    )


def test_algorithms_are_chosen_for_a_block(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = switches()
    with choose_algorithms(tf32=True, autotune=True):
        assert switches() == ("high", True, True, before[3])
        with choose_algorithms(deterministic=True):
            assert switches() == ("highest", False, True, True)
        assert switches() == ("high", True, True, before[3])
    assert switches() == before


def test_a_fill_in_full_precision_is_not_in_tf32():
    seen = []

    def net(visible, mask):
        seen.append(switches()[:2])
        return visible

    cpu = torch.device("cpu")
    filler = NetworkFiller("net", net, Sizes(), cpu, "full")  # type: ignore[arg-type]
    rgb = torch.rand(8, 8, 3).numpy()
    with choose_algorithms(tf32=True):
        filler.fill(rgb, rgb[..., 0] > 0.5, np.random.default_rng(0))
    assert seen == [("highest", False)]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_run_computes_as_its_recipe_says(toys, ordered, monkeypatch):
    seen = set()
    losses = ToyTask.critic_losses

    def spy(self, batch, out):
        last = batch.image.is_contiguous(memory_format=torch.channels_last)
        weights = [p for name, p in self.net.named_parameters() if name.endswith("prior.weight")]
        ordered = weights[0].is_contiguous(memory_format=torch.channels_last)
        seen.add((*switches()[:3], last, ordered))
        return losses(self, batch, out)

    monkeypatch.setattr(ToyTask, "critic_losses", spy)
    fast = ["compute.tf32=true", "compute.autotune=true", ORDERED] if ordered else []
    go(toys, "run", *fast)
    precision = "high" if ordered else "highest"
    assert seen == {(precision, *[ordered] * 4)}


@pytest.mark.parametrize("setting", [ORDERED, "compute.deterministic=true"])
def test_a_run_that_is_cut_goes_on_with_the_same_bits(toys, setting):
    whole = train(toys, "whole", setting)
    go(toys, "cut", setting)
    for path in Path("cut").glob("*-0000001?.*"):
        path.unlink()
    for path in Path("cut").glob("*-0000000[6-9].*"):
        path.unlink()
    rest = train(toys, "cut", setting, resume=True)
    assert all(torch.equal(value, rest[key]) for key, value in whole.items())


def test_a_run_of_a_version_without_these_settings_goes_on(toys):
    go(toys, "run")
    path = RunFolder(Path("run")).recipe
    settings = yaml.safe_load(path.read_text())
    assert settings.pop("compute")
    path.write_text(yaml.safe_dump(settings))
    recipe, _ = read_recipe(toys / "toy.yaml", [])
    assert not [line for line in recipe_changes(path, recipe) if "compute" in line]
    go(toys, "run", resume=True)


def test_what_excludes_each_other_is_refused(toys):
    with pytest.raises(RecipeError, match="deterministic and autotune exclude each other"):
        read_recipe(toys / "toy.yaml", ["compute={deterministic: true, autotune: true}"])


UNCLIPPED = {
    name: stage.model_copy(update={"clip": 0.0, "batch": 2}) for name, stage in ToyTask.plan.items()
}


def last_task(plan=ToyTask.plan, **options):
    forget_accelerator()
    task = toy()
    (*_, step) = train_stages(task, plan, batches(), Accelerator(cpu=True), **options)
    return step.state()["task"]


def test_a_network_that_cannot_be_compiled_runs_as_it_is(monkeypatch, capsys):
    def fail(net):
        def call(*args, **kwargs):
            raise ValueError("no compiler here\nand a long story")

        return call

    monkeypatch.setattr(torch, "compile", fail)
    plain, other = last_task(), last_task(compiles=True)
    assert all(torch.equal(value, other[key]) for key, value in plain.items())
    told = "the network cannot be compiled here (no compiler here); it runs as it is"
    assert capsys.readouterr().err.count(told) == 2  # once a stage


def test_the_network_is_compiled_and_no_critic(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda net: compiled.append(net) or net)
    last_task(compiles=True)
    assert {type(net).__name__ for net in compiled} == {"ToyNet"}


def test_an_error_of_ours_in_a_compiled_network_is_that_error(monkeypatch):
    def fail(net):
        def call(*args):
            raise TrainingError("it is wrong")

        return call

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(TrainingError, match="it is wrong"):
        last_task(compiles=True)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_optimiser_is_one_kernel_on_a_gpu(kind, device, monkeypatch):
    given = {}
    for name in ("Adam", "AdamW", "SGD"):
        monkeypatch.setattr(loop.optim, name, lambda groups, **settings: given.update(settings))
    parameter = SimpleNamespace(device=torch.device(device))
    make_optimizer([{"params": [parameter]}], Optimizer(kind=kind))  # type: ignore[arg-type]
    assert given["fused"] is (True if device == "cuda" else None)


class Part:
    """A part of a batch that notes how it is copied."""

    def __init__(self, notes):
        self.notes = notes

    def to(self, device, non_blocking):
        self.notes.append(("copy", non_blocking))
        return self

    def record_stream(self, stream):
        self.notes.append(("kept for", stream))


def test_batches_are_copied_to_a_gpu_beside_its_work(monkeypatch):
    notes = []

    class Stream:
        def __init__(self, *_):
            self.name = f"stream {sum(isinstance(n, Stream) for n in notes)}"

        def __enter__(self):
            notes.append("begin")

        def __exit__(self, *_):
            notes.append("end")

    now = SimpleNamespace(wait_stream=lambda stream: notes.append("wait"))
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: now)
    copier = BatchCopier(torch.device("cuda"))
    copier.copy({"image": Part(notes)})  # type: ignore[dict-item]
    assert notes == ["begin", ("copy", True), "end", "wait", ("kept for", now)]


def reread(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def scaled(steps=10, state=None, overflow=None, every=1000):
    """A training whose gradients are scaled as in fp16, here of float32 on a CPU."""
    forget_accelerator()
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=every)
    task = toy()
    real = task.critic_losses
    calls = []

    def explode(batch, out):
        calls.append(1)
        factor = math.inf if len(calls) == overflow else 1
        return {name: loss * factor for name, loss in real(batch, out).items()}

    task.critic_losses = explode
    seen = []
    for step in train_stages(task, UNCLIPPED, batches(), accelerator, state=state):
        seen.append(reread(step.state()))
        if step.done == steps:
            break
    return seen


def test_gradients_are_scaled_for_two_optimisers():
    plain = last_task(UNCLIPPED)
    for key, value in scaled()[-1]["task"].items():
        assert torch.allclose(value, plain[key], atol=1e-5), key


def test_an_overflow_of_one_optimiser_is_not_a_step_of_the_other():
    quiet, loud = scaled(5)[-1], scaled(5, overflow=1)[-1]
    before = scaled(4)[-1]["task"]
    assert torch.equal(loud["task"]["critic.2.weight"], before["critic.2.weight"])
    assert not torch.equal(quiet["task"]["critic.2.weight"], before["critic.2.weight"])
    assert not torch.equal(loud["task"]["net.body.3.weight"], before["net.body.3.weight"])
    assert loud["scaler"]["scale"] < quiet["scaler"]["scale"]


def test_scales_are_resumed_with_the_same_bits():
    whole = scaled(every=3)
    for cut in (2, 6):
        rest = scaled(state=whole[cut - 1], every=3)
        assert rest[-1]["scaler"] == whole[-1]["scaler"]
        assert all(torch.equal(v, rest[-1]["task"][k]) for k, v in whole[-1]["task"].items())


GIB = 2.0**30


def test_the_batch_that_fits_is_told():
    built = build_small("gated", "batch=16", "data.size=64")
    capacity = 40 * 2.0**20
    fits = memory.fitting_part(built, "fill", capacity)
    assert 1 < fits < 16
    told = memory.explain_memory(built, "fill", "cuda:0", capacity, 1)
    assert told.startswith(
        "stage 'fill': 16 images of 64 pixels at once do not fit into cuda:0 (40"
    )
    assert f"about {fits} would: use --set architectures.gated.stages.fill.batch={fits}" in told
    parts = next(n for n in (2, 4, 8, 16) if 16 // n <= fits)
    assert told.endswith(f"in parts, with --set accumulate={parts}")
    half = memory.explain_memory(built, "fill", "cpu", math.nan, 2)  # nothing is known
    assert "8 images of 64 pixels at once do not fit into cpu; about 4 would" in half
    assert "stages.fill.batch=8" in half
    assert "use a smaller data.size" in memory.explain_memory(built, "fill", "cpu", 1e5, 1)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "2 images of 32 pixels at once do not"),
        (MemoryError(), "2 images of 32 pixels at once do not fit into cpu"),
        (RuntimeError("x_backward does not have a deterministic implementation, but"),
         "toy cannot be trained with compute.deterministic here (x_backward"),
    ],
)  # fmt: skip
def test_what_a_device_cannot_do_is_told_with_its_cure(toys, monkeypatch, error, told):
    def fail(*_):
        raise error

    monkeypatch.setattr(loop.StageRun, "take_step", fail)
    with pytest.raises(TrainingError) as caught:
        go(toys, "run")
    assert told in str(caught.value)
    assert "--set " in str(caught.value)


def test_an_error_of_another_kind_stays_what_it_is(toys, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(loop.StageRun, "take_step", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        go(toys, "run")
