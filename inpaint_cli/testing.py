"""The promises of each kind of plugin, checked. A plugin's own tests need one line:

    def test_blur():
        check_architecture("blur")

The other kinds have `check_format`, `check_images`, `check_masks` and `check_metric`. Every check
raises AssertionError with a sentence that names the promise. The built-in plugins are held to the
same checks, found through the registry like anyone else's.
"""

import copy
import io
import math
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from zipfile import ZipFile

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from . import registry
from .api.architectures import Architecture, Batch, Sizes, Task
from .api.datasets import Dataset
from .api.formats import Format
from .api.masks import Masks
from .api.metrics import Features, ImageMetric, Metric, SetMetric, unit
from .api.stages import Stage, overlay_settings
from .datasets.collection import decode_image
from .errors import DataError, InpaintError, WeightsError
from .models import weights
from .models.network import fill_tensors
from .runtime.devices import autocast
from .training.loop import train_stages

AWKWARD = ((37, 53), (64, 40), (1, 1), (3, 70))  # heights and widths no network is made for


def check_architecture(name: str, *, without_gradient: Sequence[str] = ()) -> None:
    """Check everything that `Architecture` and `Task` promise, on the build named by `tiny`.

    `without_gradient` lists parameters of the task, by the beginning of their names, that need
    not get a gradient in the first step, such as those behind a gate that starts at zero.
    """
    architecture: type[Architecture] = registry.load_plugin("architectures", name)
    model = architecture.settings.model_validate(architecture.tiny.get("model", {}))
    check_description(architecture, model)
    torch.manual_seed(0)
    net = architecture.build(model).eval()
    sizes = architecture.sizes(model)
    check_sizes(sizes)
    check_fill(net, sizes)
    check_precisions(architecture, net, sizes)
    if net.state_dict():
        check_weights(name, architecture, model, net)
    if architecture.task:
        check_task(architecture, model, without_gradient)


def check_description(architecture: type[Architecture], model: Any) -> None:
    """It says what it is, and its settings survive being written down."""
    assert (architecture.__doc__ or "").strip(), "an architecture's docstring is its listing"
    assert architecture.licence, "an architecture says under which licence its code is"
    again = type(model).model_validate_json(model.model_dump_json())
    assert again == model, "settings read back from JSON are the settings that were written"


def check_sizes(sizes: Sizes) -> None:
    for size in AWKWARD:
        fit = sizes.fit(*size)
        assert fit >= size, f"{fit} does not hold {size}"
        assert sizes.fit(*fit) == fit, f"a size that fits, {fit}, must fit as it is"


def check_fill(net: nn.Module, sizes: Sizes) -> None:
    """What comes back has the photo's size, is finite, and is the photo outside the hole."""
    for size in AWKWARD:
        image, mask = example(size)
        out = seeded(net, sizes, image, mask)
        assert out.shape == image.shape, f"{size} comes back as {tuple(out.shape[-2:])}"
        assert torch.isfinite(out).all(), f"not finite at {size}"
        assert torch.equal(out[mask.expand_as(out) == 0], image[mask.expand_as(out) == 0])
        assert torch.equal(out, seeded(net, sizes, image, mask)), "the same seed, another picture"
        other = torch.where(mask > 0, torch.rand_like(image), image)
        assert torch.equal(out, seeded(net, sizes, other, mask)), "it saw what is under the hole"
    image, mask = example((64, 40))
    everywhere = seeded(net, sizes, image, torch.ones_like(mask))
    assert torch.isfinite(everywhere).all(), "not finite where everything is hole"
    assert torch.equal(seeded(net, sizes, image, torch.zeros_like(mask)), image)


def check_precisions(architecture: type[Architecture], net: nn.Module, sizes: Sizes) -> None:
    """Its output is finite and close in each reduced precision that it declares."""
    image, mask = example((64, 40))
    whole = seeded(net, sizes, image, mask)
    for precision in set(architecture.precisions) - {"full"}:
        with autocast(image.device, precision):
            reduced = seeded(net, sizes, image, mask)
        assert torch.isfinite(reduced).all(), f"not finite in {precision}"
        if not architecture.stochastic:
            apart = (whole - reduced).abs().sum() / (3 * mask.sum())
            assert apart < 0.05, f"{precision} is far from full precision"


def check_weights(name: str, architecture: type[Architecture], model: Any, net: nn.Module) -> None:
    """A weights file is enough to build the same network again."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        weights.write_weights(path, name, model, net)
        again = weights.read_weights(path)
    image, mask = example((64, 40))
    sizes = architecture.sizes(model)
    assert torch.equal(seeded(net, sizes, image, mask), seeded(again.net, sizes, image, mask))


def check_task(
    architecture: type[Architecture], model: Any, without_gradient: Sequence[str] = ()
) -> None:
    """Each stage runs: losses are finite, what it trains learns, and nothing else moves.

    It runs in bfloat16 too, which any recipe may ask for. Its losses there are not looked at, for
    on some processors the gradients of convolutions over a single pixel are no numbers then.
    """
    assert architecture.task is not None
    rules = architecture.task.settings.model_validate(architecture.tiny.get("task", {}))
    torch.manual_seed(0)
    task = architecture.task(architecture.build(model), rules)
    side = max(architecture.sizes(model).fit(32, 32))
    for stage in filter(task.phases, task.plan):
        check_gradients(task, stage, side, without_gradient)
        before = copy.deepcopy(task.state_dict())
        plan = {stage: overlay_settings(task.plan[stage], Stage(steps=1))}
        for precision, trained in (("bf16", copy.deepcopy(task)), ("no", task)):
            with accelerated(precision) as accelerator:
                (step,) = train_stages(
                    trained, plan, lambda name, n: iter(examples(side)), accelerator
                )
        for term, loss in step.losses.items():
            assert math.isfinite(loss), f"{stage}: {term} is {loss}"
        learns = {p for phase in task.phases(stage) for m in phase.trains for p in under(task, m)}
        frozen = dict(task.named_parameters()).keys() - learns
        moved = {key for key in frozen if not torch.equal(before[key], task.state_dict()[key])}
        assert not moved, f"{stage} does not train {sorted(moved)}, but they moved"


@contextmanager
def accelerated(precision: str) -> Iterator[Accelerator]:
    """An accelerator for once: its settings are the process's, which has other tests to run."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield Accelerator(cpu=True, mixed_precision=precision)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def check_gradients(task: Task, stage: str, side: int, without: Sequence[str]) -> None:
    task.stage = stage
    for phase in task.phases(stage):
        task.requires_grad_(False).eval().zero_grad()
        learns = {name for module in phase.trains for name in under(task, module)}
        for module in phase.trains:
            task.get_submodule(module).requires_grad_(True).train()
        batch = examples(side)[0]
        sum(phase.losses(batch, task.predict(batch)).values(), torch.zeros(())).backward()
        for name, parameter in task.named_parameters():
            if name in learns and parameter.requires_grad and not name.startswith(tuple(without)):
                assert parameter.grad is not None, f"{stage}/{phase.name}: {name} gets no gradient"
                assert torch.isfinite(parameter.grad).all(), f"{stage}/{phase.name}: {name}"


def under(task: Task, module: str) -> set[str]:
    """The names of the parameters of `module`, as the task knows them."""
    return {f"{module}.{name}" for name, _ in task.get_submodule(module).named_parameters()}


def example(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A smooth image [1, 3, H, W] with some noise, and a mask [1, 1, H, W] with a hole in it."""
    height, width = size
    rng = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(1, 3, 4, 4, generator=rng)
    smooth = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    image = (0.9 * smooth + 0.1 * torch.rand(1, 3, *size, generator=rng)).clamp(0, 1)
    mask = torch.zeros(1, 1, *size)
    mask[..., height // 4 : height // 4 + max(1, height // 3), : max(1, width // 2)] = 1
    return image, mask


def examples(side: int) -> list[Batch]:
    """One batch of two."""
    pairs = [example((side, side)), example((side, side + 1))]
    image = torch.cat([pair[0][..., :side] for pair in pairs])
    return [Batch(image, torch.cat([pair[1][..., :side] for pair in pairs]))]


def seeded(net: nn.Module, sizes: Sizes, image: Tensor, mask: Tensor) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return fill_tensors(net, sizes, image, mask)


def check_masks(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Check that the generator `name` keeps to the size, and to its seed alone."""
    masks: Masks = registry.load_plugin("masks", name).model_validate(settings or {})
    for height, width in ((64, 64), (64, 128), (96, 48)):
        drawn = masks.draw(height, width, np.random.default_rng(1))
        assert drawn.shape == (height, width), f"{drawn.shape} is not {(height, width)}"
        assert drawn.dtype == np.bool_, f"a mask is boolean, not {drawn.dtype}"
        again = masks.draw(height, width, np.random.default_rng(1))
        assert np.array_equal(drawn, again), "the same generator state, another mask"
        assert masks.accepts(drawn), "a mask has a hole, and keeps `ratio` and `border`"


def check_metric(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Check that the metric `name` judges each picture by itself, and finds equal ones best."""
    metric: Metric = registry.load_plugin("metrics", name).model_validate(settings or {})
    assert (metric.__doc__ or "").strip(), "a metric's docstring is its listing"
    assert metric.better in ("higher", "lower"), "a metric says which way is better"
    (pair,) = examples(64)
    mask = pair.mask > 0
    mask[1] = False  # a picture without a hole
    truth = (pair.image * 255).byte()
    filled = torch.where(mask, 255 - truth, truth)
    if isinstance(metric, ImageMetric):
        check_score(metric, filled, truth, mask)
    else:
        assert isinstance(metric, SetMetric), "a metric extends ImageMetric or SetMetric"
        check_distance(metric, filled, truth)


def check_score(metric: ImageMetric, filled: Tensor, truth: Tensor, mask: Tensor) -> None:
    """A number or NaN for each image, the same in a batch or alone, in levels or as floats."""
    scores = metric.score(filled, truth, mask)
    told = f"{scores.dtype} {list(scores.shape)} for {len(truth)} images"
    assert scores.dtype == torch.float64, f"scores are float64 [N], not {told}"
    assert scores.shape == (len(truth),), f"scores are float64 [N], not {told}"
    alone = metric.score(filled[:1], truth[:1], mask[:1])
    assert close(scores[:1], alone), "the score of an image depends on the others of its batch"
    floats = metric.score(unit(filled, torch.float32), unit(truth, torch.float32), mask)
    assert close(scores, floats), "a picture in 0..1 has another score than the same in 8 bits"
    check_order(metric, metric.score(truth, truth, mask), scores)
    known = scores[~scores.isnan()].numpy()
    assert np.shape(metric.average(np.stack([known] * 2))) == (2,), "it averages [..., N] to [...]"


def check_distance(metric: SetMetric, filled: Tensor, truth: Tensor) -> None:
    """Features of each image by itself, and a number or NaN for sets of any size."""
    rows = metric.features(filled)
    told = f"{rows.dtype} {list(rows.shape)} for {len(filled)} images"
    assert rows.dtype == torch.float32, f"features are float32 [N, D], not {told}"
    assert rows.shape[:-1] == (len(filled),), f"features are float32 [N, D], not {told}"
    alone = metric.features(filled[:1])
    assert close(rows[:1], alone), "the features of an image depend on the others of its batch"
    fake, real = rows.numpy(), metric.features(truth).numpy()
    for count in range(len(fake) + 1):  # none, too few, all
        index = np.arange(count)
        fills, photos = Features(fake, index), Features(real, index)
        apart, equal = metric.distance(fills, photos), metric.distance(photos, photos)
        check_order(metric, torch.tensor(equal), torch.tensor(apart))


def check_order(metric: Metric, equal: Tensor, apart: Tensor) -> None:
    worse = equal < apart if metric.better == "higher" else equal > apart
    told = f"equal pictures score {equal.tolist()} and others {apart.tolist()}"
    assert not worse.any(), f"{told}, but {metric.better} is better"


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)


def check_images(name: str, root: Path, settings: Mapping[str, Any] | None = None) -> None:
    """Check that the data set `name` hands out the images at `root`, always in one order.

    `root` is what a user would give it, with a few images.
    """
    images: Dataset = registry.load_plugin("datasets", name).model_validate(settings or {})
    names = images.names(root)
    assert names, f"it finds no image in {root}"
    assert len(set(names)) == len(names), "it names an image twice"
    for backwards in (False, True):
        with listed(backwards=backwards):
            again = pickle.loads(pickle.dumps(images)).names(root)  # as another process does
        assert again == names, "the order of its names changes with that in which folders list"
    for image in names:
        try:
            decode_image(images.read(root, image), image)
        except InpaintError as error:
            raise AssertionError(f"what it reads of '{image}' is no picture: {error}") from error
    with TemporaryDirectory() as folder, refused(DataError, "an empty folder"):
        images.names(Path(folder))


@contextmanager
def listed(*, backwards: bool) -> Iterator[None]:
    """Within it folders list their files by name, or the other way round: systems differ."""
    scandir = os.scandir

    class Entries(Iterator[os.DirEntry[str]]):
        def __init__(self, path: Any = ".") -> None:
            with scandir(path) as entries:
                self.left = sorted(entries, key=lambda entry: entry.name, reverse=not backwards)

        def __next__(self) -> os.DirEntry[str]:
            if not self.left:
                raise StopIteration
            return self.left.pop()

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def listdir(path: Any = ".") -> list[str]:
        return [entry.name for entry in Entries(path)]

    with patch("os.scandir", Entries), patch("os.listdir", listdir):
        yield


def check_format(name: str) -> None:
    """Check that the format `name` refuses what is no network, and executes nothing of it."""
    reader: type[Format] = registry.load_plugin("formats", name)
    with TemporaryDirectory() as folder:
        ran = Path(folder, "ran")
        for path in rubbish(Path(folder), Trap(ran)):
            with refused(WeightsError, path.name):
                reader.read(path)
            assert not ran.exists(), f"it executed what {path.name} holds"


@contextmanager
def refused(kind: type[InpaintError], what: str) -> Iterator[None]:
    """Nothing may be made of `what`: it is the `kind` of error that a user is told."""
    try:
        yield
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{what} is a {kind.__name__}, not {error!r}") from error
    raise AssertionError(f"{what} is a {kind.__name__}, but nothing was said")


class Trap:
    """Whoever unpickles it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def rubbish(folder: Path, trap: Trap) -> Iterator[Path]:
    """Files with names of weights that hold none: damaged, of another kind, or with a trap."""
    saved = io.BytesIO()
    torch.save({"state_dict": trap}, saved)
    contents = {
        "empty": b"",
        "text": b"not a file of weights",
        "long": (2**62).to_bytes(8, "little") + b"{}",
        "torn": saved.getvalue()[:100],
        "cut": pickle.dumps("a text whose length is cut", 2)[:4],
        "pickled": pickle.dumps(trap, 2),
        "saved": saved.getvalue(),
        "script": zipped({"net/code/net.py": b"", "net/data.pkl": pickle.dumps(trap, 2)}),
        "program": zipped({"net/code/net.py": b""}),
    }
    yield folder / "missing.safetensors"
    for suffix in (".safetensors", ".pth", ".pt", ".ckpt"):
        for name, content in contents.items():
            path = folder / (name + suffix)
            path.write_bytes(content)
            yield path


def zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return archive.getvalue()
