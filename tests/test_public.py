"""What `import inpaint_cli` and `inpaint_cli.api` promise."""

import ast
import doctest
import importlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from places import ROOT

import inpaint_cli
from inpaint_cli.errors import InpaintError, WeightsError

PACKAGES = ("inpaint_cli", "inpaint_cli.api", "inpaint_cli.testing")
SPY = """
import sys
before = set(sys.modules)
import inpaint_cli as inpaint
print(inpaint.__version__, len(inpaint.__all__))
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there_and_known_to_type_checkers(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None, name
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.pyi").read_text("utf-8"))
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    typed = {alias.asname for node in imports for alias in node.names}
    assert typed == set(module.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'fil'$"):
        _ = module.fil


def test_importing_it_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", SPY], capture_output=True, text=True, check=True)
    first, modules = done.stdout.splitlines()
    assert first.split() == [inpaint_cli.__version__, str(len(inpaint_cli.__all__))]
    assert not {"torch", "numpy", "PIL", "cv2", "pydantic", "click", "yaml"} & set(modules.split())


def test_the_guide_names_every_public_name():
    guide = (ROOT / "docs" / "guide-python.md").read_text("utf-8")
    reference = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    for name in inpaint_cli.__all__:
        assert name in reference, name
    assert "inpaint.fill(" in guide


def test_the_examples_of_public_functions_run():
    """Every public function has one, whose output is what it says."""
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for name in inpaint_cli.__all__:
        thing = getattr(inpaint_cli, name)
        module = sys.modules[thing.__module__]
        for test in finder.find(thing, name, globs=vars(module) | {"np": np}):
            runner.run(test)
    assert runner.tries > 10
    assert not runner.failures


LAYOUTS = [(9, 8), (9, 8, 1), (9, 8, 3), (9, 8, 4)]


@pytest.mark.parametrize("shape", LAYOUTS, ids=str)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32", "float64"])
def test_arrays_come_back_as_they_went_in(kind, shape):
    values = np.random.default_rng(0).random(shape)
    largest = np.iinfo(kind).max if kind.startswith("u") else 1
    photo = (values * largest).astype(kind)
    hole = np.zeros(shape[:2], np.bool_)
    hole[3:6, 2:5] = True
    before = photo.copy()
    filled = inpaint_cli.fill(photo, mask=hole, model="telea").array
    assert (filled.shape, filled.dtype) == (photo.shape, photo.dtype)
    assert np.array_equal(filled[~hole], photo[~hole])
    assert not np.array_equal(filled[hole], photo[hole])
    assert np.array_equal(photo, before), "the array that was given has changed"
    if len(shape) == 3 and shape[2] == 4:
        assert np.array_equal(filled[..., 3], photo[..., 3])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_pillow_pictures_come_back_in_their_mode(mode, tmp_path):
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8))
    photo = colours.convert("L").convert(mode) if mode == "I;16" else colours.convert(mode)
    mask = Image.new("L", photo.size)
    mask.paste(255, (5, 5, 12, 12))
    filled = inpaint_cli.fill(photo, mask=mask, model="ns")
    assert (filled.image.mode, filled.image.size) == (photo.mode, photo.size)
    outside = ~(np.asarray(mask) > 0)
    assert np.array_equal(np.asarray(filled.image)[outside], np.asarray(photo)[outside])
    path = tmp_path / "out.tif"
    filled.save(path)
    with Image.open(path) as written:
        assert written.size == photo.size


@pytest.mark.parametrize(
    ("mask", "pixels"),
    [
        (np.eye(20, dtype=bool), 20),
        (np.eye(20, dtype=np.uint8) * 255, 20),
        (np.eye(20, dtype=np.float32), 20),
        (np.eye(20, dtype=np.uint16) * 65535, 20),
        (Image.fromarray(np.eye(20, dtype=np.uint8) * 255), 20),
        (Image.fromarray(np.eye(20, dtype=np.uint8) * 255).convert("RGB"), 20),
    ],
)
def test_a_mask_may_be_any_of_them(mask, pixels):
    photo = np.full((20, 20, 3), 7, np.uint8)
    assert inpaint_cli.fill(photo, mask=mask, model="telea").hole.area.sum() == pixels


GRAY = np.zeros((8, 8), np.uint8)
SPOT = np.pad(np.ones((2, 2), np.bool_), 3)


@pytest.mark.parametrize(
    ("photo", "options", "sentence"),
    [
        (GRAY.astype(np.int64), {}, "array of int64; give uint8, uint16 or floats"),
        (GRAY > 0, {}, "array of bool"),
        (GRAY + 7.0, {}, r"values outside 0\.\.1"),
        (GRAY + np.nan, {}, r"values outside 0\.\.1"),
        (np.zeros((8, 8, 5), np.uint8), {}, r"shape \(8, 8, 5\); give"),
        (np.zeros((0, 8), np.uint8), {}, "no pixels"),
        ([[1, 2]], {}, "is a list; give a path"),
        (7, {}, "is a int; give a path"),
        ("nowhere.jpg", {}, r"nowhere\.jpg does not exist"),
        (GRAY, {"mask": {}}, "the mask is a dict; give a path"),
        (GRAY, {"mask": SPOT[:4]}, "the mask is 8x4, but the photo is 8x8"),
        (GRAY, {"mask": None}, "nothing says where the hole is"),
        (GRAY, {"mask": "alpha"}, "has no transparency"),
        (GRAY, {"grow": "4"}, "grow is '4'; give a whole number"),
        (GRAY, {"feather": -1}, "feather is -1"),
        (GRAY, {"threshold": 0}, "threshold is 0"),
        (GRAY, {"seed": 0.5}, "seed is 0.5"),
        (GRAY, {"window": 3}, "window is 3"),
        (GRAY, {"regions": [(1, 2, 3)]}, r"region \(1, 2, 3\) is not x, y, width, height"),
        (GRAY, {"model": 7}, "model is a int; give a name"),
        (GRAY, {"model": "telae"}, "did you mean 'telea'"),
        (GRAY, {"device": "tpu"}, "no device is called 'tpu'"),
        (GRAY, {"precision": "bf16"}, "full precision"),
    ],
)
def test_what_is_wrong_is_refused_by_name(photo, options, sentence):
    with pytest.raises(InpaintError, match=sentence):
        inpaint_cli.fill(photo, **{"mask": SPOT, "model": "telea"} | options)


def test_a_model_loaded_once_serves_many():
    model = inpaint_cli.load_model("telea")
    for shade in (10, 200):
        photo = np.full((8, 8), shade, np.uint8)
        assert inpaint_cli.fill(photo, mask=SPOT, model=model).array[4, 4] == shade
    assert inpaint_cli.load_model(model) is model
    with pytest.raises(WeightsError):
        inpaint_cli.load_model("nowhere.safetensors")
