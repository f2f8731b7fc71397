"""Every plugin that is installed keeps the promises of its kind; one that does not is found."""

import os
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small import SMALL
from torch import nn
from toy import photos

from inpaint_cli import registry
from inpaint_cli.api.architectures import Architecture, Sizes
from inpaint_cli.api.datasets import Dataset
from inpaint_cli.api.fillers import Filler
from inpaint_cli.api.finders import Finder
from inpaint_cli.api.formats import Format
from inpaint_cli.api.metrics import ImageMetric, SetMetric, unit
from inpaint_cli.errors import DataError, WeightsError
from inpaint_cli.testing import (
    check_architecture,
    check_dataset,
    check_filler,
    check_finder,
    check_format,
    check_images,
    check_masks,
    check_metric,
)
from inpaint_cli.testing.architectures import check_precisions, small_settings


@pytest.mark.parametrize("name", registry.find_plugins("architectures"))
def test_an_architecture_keeps_its_promises(name):
    check_architecture(name, **SMALL.get(name, {}))


@pytest.mark.parametrize("name", registry.find_plugins("fillers"))
def test_a_filler_keeps_its_promises(name):
    check_filler(name)


class Honest(Filler):
    """Fills with the mean of what is visible."""

    def fill(self, rgb, hole, rng):
        rgb[hole] = rgb[~hole].mean(0)
        return rgb


class Silent(Filler):
    def fill(self, rgb, hole, rng):
        return rgb


class Random(Honest):
    """Draws from a generator of its own."""

    def fill(self, rgb, hole, rng):
        return np.random.default_rng().random(rgb.shape, np.float32)


class Lost(Honest):
    """Divides by nothing."""

    def fill(self, rgb, hole, rng):
        return rgb * np.float32(np.nan)


class Fixed(Honest):
    """Says that it is stochastic, and is not."""

    stochastic = True


class Shrinking(Honest):
    """Takes sizes smaller than the photo."""

    @property
    def sizes(self):
        return SimpleNamespace(fit=lambda height, width: (height - 1, width))


@pytest.mark.parametrize(
    ("filler", "promise"),
    [
        (Honest, None),
        (Silent, "docstring"),
        (Random, "same seed, another fill"),
        (Lost, "not finite"),
        (Fixed, "every seed, one fill"),
        (Shrinking, "does not hold"),
    ],
)
def test_a_filler_that_breaks_a_promise_is_found(filler, promise, monkeypatch):
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: filler)
    with pytest.raises(AssertionError, match=promise) if promise else nullcontext():
        check_filler("mine")


@pytest.mark.parametrize("name", registry.find_plugins("formats"))
def test_a_weights_format_keeps_its_promises(name):
    check_format(name)


@pytest.mark.parametrize("name", registry.find_plugins("masks"))
def test_a_mask_generator_keeps_its_promises(name, tmp_path):
    Image.new("1", (40, 30), 1).save(tmp_path / "mask.png")
    check_masks(name, {"path": tmp_path} if name == "files" else None)


FINDER_SETTINGS = {  # of those that need some
    "coco": {"file": "missing.json"},
    "color": {"value": "#ff8c1e"},
    "difference": {"other": "missing.png"},
    "ellipse": {"box": "4,5,20,10"},
    "labelme": {"file": "missing.json"},
    "line": {"points": "1,1,20,1,3,30"},
    "object": {"box": "4,5,20,10"},
    "polygon": {"points": "1,1,20,1,3,30"},
}


@pytest.mark.parametrize("name", registry.find_plugins("finders"))
def test_a_finder_keeps_its_promises(name):
    check_finder(name, FINDER_SETTINGS.get(name))


class Bright(Finder):
    """What is bright."""

    def find(self, rgb, name):
        return rgb[..., 0] > 200


class Painter(Bright):
    """Paints."""

    def find(self, rgb, name):
        rgb[0] = 0
        return super().find(rgb, name)


class Guess(Bright):
    """Guesses."""

    def find(self, rgb, name):
        return np.random.default_rng().random(rgb.shape[:2]) > 0.5


class Levels(Bright):
    """Gives levels."""

    def find(self, rgb, name):
        return rgb[..., 0]


class Cut(Bright):
    """Gives another size."""

    def find(self, rgb, name):
        return rgb[1:, :, 0] > 200


@pytest.mark.parametrize(
    ("finder", "promise"),
    [
        (Bright, None),
        (type("Silent", (Bright,), {"__doc__": ""}), "docstring"),
        (Painter, "read-only"),
        (Guess, "the same photo, another mask"),
        (Levels, "boolean, not uint8"),
        (Cut, "is not"),
        (type("Endless", (Bright,), {"__doc__": "All.", "limit": 2}), "no limit"),
    ],
)
def test_a_finder_that_breaks_a_promise_is_found(finder, promise, monkeypatch):
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: finder)
    monkeypatch.setattr("inpaint_cli.recipe.source.load_plugin", lambda kind, name: finder)
    with pytest.raises((AssertionError, ValueError), match=promise) if promise else nullcontext():
        check_finder("mine")


@pytest.mark.parametrize("name", registry.find_plugins("metrics"))
def test_a_metric_keeps_its_promises(name, tmp_path, monkeypatch):
    settings = METRIC_SETTINGS.get(name, {})
    if "weights" in registry.load_plugin("metrics", name).model_fields:
        settings = {"weights": "random", **settings}
    if name == "dists":
        (tmp_path / "DISTS_pytorch").mkdir()
        (tmp_path / "DISTS_pytorch" / "__init__.py").touch()
        weights = {key: torch.rand(1475) for key in ("alpha", "beta")}
        torch.save(weights, tmp_path / "DISTS_pytorch" / "weights.pt")
        monkeypatch.syspath_prepend(tmp_path)
    if name == "pyiqa":
        mine = SimpleNamespace(list_models=lambda: ["mine"], create_metric=lambda *_, **__: Mine())
        monkeypatch.setitem(sys.modules, "pyiqa", mine)
    check_metric(name, settings, side=192 if name == "ms-ssim" else 64)


METRIC_SETTINGS = {"pyiqa": {"name": "mine"}}


class Mine(torch.nn.Module):
    """What pyiqa returns for a metric."""

    lower_better, metric_mode = True, "FR"

    def forward(self, filled, truth):
        return (filled - truth).abs().mean((1, 2, 3))


@pytest.mark.parametrize("name", registry.find_plugins("datasets"))
def test_a_data_set_keeps_its_promises(name, tmp_path, monkeypatch):
    any_count = lambda self, root, names, count: names  # noqa: E731
    monkeypatch.setattr("inpaint_plugins.datasets.published.Published.check_count", any_count)
    check_dataset(name, photos(tmp_path / "photos"))


def error(filled, truth, mask):
    return (unit(filled) - unit(truth)).abs().flatten(1).mean(1)


class Error(ImageMetric):
    """The mean absolute error."""

    better = "lower"

    def score(self, filled, truth, mask):
        return error(filled, truth, mask)


class Shift(SetMetric):
    """How far the mean of all pictures moved."""

    better = "lower"
    extractor = property(lambda self: "mean")

    def features(self, images):
        return unit(images, torch.float32).mean((1, 2, 3))[:, None]

    def distance(self, filled, truth):
        return float(abs(filled.all().mean() - truth.all().mean())) if len(truth) else float("nan")


def but(metric, **changes):
    return type("Broken", (metric,), {"__doc__": metric.__doc__, **changes})


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        (Error, None),
        (but(Error, __doc__=""), "docstring"),
        (but(Error, better="higher"), "but higher is better"),
        (but(Error, score=lambda _, *pair: error(*pair).float()), "not torch.float32"),
        (but(Error, score=lambda _, *pair: error(*pair).mean()), r"not torch.float64 \[\] for 2"),
        (but(Error, score=lambda _, *pair: error(*pair).mean() + pair[0].new_zeros(2).double()),
         "depends on the rest"),
        (but(Error, score=lambda _, a, b, mask: error(a / 1.0, b / 1.0, mask)), "in 8 bits"),
        (but(Error, average=lambda _, scores: scores.mean()), "averages"),
        (Shift, None),
        (but(Shift, better="higher"), "but higher is better"),
        (but(Shift, features=lambda _, images: unit(images).mean((2, 3))), "not torch.float64"),
        (but(Shift, features=lambda _, images: unit(images, torch.float32).mean((0, 2, 3))),
         r"not torch.float32 \[3\] for 2"),
        (but(Shift, features=lambda _, images: images[:, 0, 0, :1].float() - images.float().mean()),
         "depend on the rest"),
    ],
)  # fmt: skip
def test_a_metric_that_breaks_a_promise_is_found(metric, told, monkeypatch):
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: metric)
    with found(told):
        check_metric("mine")


def found(told):
    return pytest.raises(AssertionError, match=told) if told else nullcontext()


class Folder(Dataset):
    def names(self, root):
        if names := sorted(os.listdir(root)):
            return names
        raise DataError("there is nothing")

    def read(self, root, name):
        return (root / name).read_bytes()


class Unsorted(Folder):
    def names(self, root):
        super().names(root)
        return os.listdir(root)


class Walked(Folder):
    def names(self, root):
        super().names(root)
        return [name for _, _, names in os.walk(root) for name in names]


class Twice(Folder):
    def names(self, root):
        return super().names(root) * 2


class Content(Folder):
    def names(self, root):
        return sorted(os.listdir(root))


class Truncated(Folder):
    def read(self, root, name):
        return super().read(root, name)[:50]


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (Folder, None),
        (Unsorted, "order of its names changes"),
        (Walked, "order of its names changes"),
        (Twice, "names an image twice"),
        (Content, "an empty folder must raise DataError"),
        (Truncated, "is no image"),
    ],
)
def test_a_data_set_that_breaks_a_promise_is_found(images, told, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: images)
    with found(told):
        check_dataset("mine", photos(tmp_path / "photos"))


class Unpickled(Format):
    @staticmethod
    def read(path):
        try:
            torch.load(path, weights_only=False)
        except Exception as error:
            raise WeightsError("it cannot be read") from error
        raise WeightsError("it holds nothing")


class Missing(Format):
    @staticmethod
    def read(path):
        path.read_bytes()


class Nothing(Format):
    @staticmethod
    def read(path):
        raise WeightsError("it holds nothing")


class Anything(Format):
    @staticmethod
    def read(path):
        return nn.Identity()


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (Nothing, None),
        (Unpickled, r"executed the content of .*\.pth"),
        (Missing, r"missing\.safetensors must raise WeightsError, not FileNotFoundError"),
        (Anything, "but nothing was raised"),
    ],
)
def test_a_format_that_breaks_a_promise_is_found(plugin, told, monkeypatch):
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: plugin)
    with found(told):
        check_format("mine")


class Detour(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.way = way

    def forward(self, visible, mask):
        return self.way(self.conv(visible).sigmoid())


@pytest.mark.parametrize(
    ("way", "precisions", "told"),
    [
        (lambda x: x * 1e6 / 1e6, ("full", "bf16"), None),
        (lambda x: x * 1e6 / 1e6, ("full", "bf16", "fp16"), "not finite in fp16"),
        (lambda x: x + 4000 - 4000, ("full",), None),
        (lambda x: x + 4000 - 4000, ("full", "bf16"), "bf16 is far from full precision"),
        (lambda x: x + 4000 - 4000, ("full", "fp16"), "fp16 is far from full precision"),
    ],
)
def test_each_precision_that_is_declared_is_tried(way, precisions, told):
    torch.manual_seed(0)
    architecture = type("Steep", (Architecture,), {"precisions": precisions})
    with found(told):
        check_precisions(architecture, Detour(way), Sizes())


class SmallBy(Architecture):
    """A network that fails unless it is small, which version 0.1 asked for with `tiny`."""

    tiny = {"model": {"width": 1}, "task": {"critic": 2}}  # noqa: RUF012 (as 0.1 had it)


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, ({"width": 1}, {"critic": 2})),
        ({"model": {"width": 3}}, ({"width": 3}, {"critic": 2})),
        ({"model": {"width": 3}, "task": {}}, ({"width": 3}, {})),
    ],
)
def test_settings_come_from_the_test_or_from_tiny(given, settings):
    assert small_settings(SmallBy, **given) == settings


def test_a_data_set_is_checked_under_its_old_name_too():
    assert check_images is check_dataset
