"""ONNX files: told apart, run without torch on photos of any size, and refused in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_files import FLOAT, write_lama, write_migan, write_painter

import inpaint_cli
from inpaint_cli.errors import InpaintError, WeightsError
from inpaint_cli.models.choose import load_model
from inpaint_plugins.onnx import Onnx

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("write", [write_migan, write_lama])
@pytest.mark.parametrize("size", [(40, 90), (200, 130), (512, 512), (3, 5)])
def test_published_layouts_fill_photos_of_any_size(write, size: tuple[int, int], tmp_path: Path):
    photo = RNG.integers(0, 256, (*size, 3), np.uint8)
    hole = np.zeros(size, np.bool_)
    hole[size[0] // 3 :, : size[1] // 2] = True
    filled = inpaint_cli.fill(photo, mask=hole, model=write(tmp_path / "net.onnx")).array
    assert (filled[hole] == 200).all()
    assert np.array_equal(filled[~hole], photo[~hole])


def test_our_header_says_name_and_sizes(tmp_path: Path):
    sizes = {"multiple": 8, "minimum": 16, "window": 256, "context": 32}
    header = {"architecture": "lama", "licence": "MIT", "sizes": json.dumps(sizes)}
    path = write_painter(tmp_path / "x.onnx", names=("visible", "mask"), header=header)
    model = load_model(path)
    assert (model.name, model.device, model.header["licence"]) == ("lama", "cpu", "MIT")
    assert (model.filler.sizes.multiple, model.filler.sizes.window) == (8, 256)
    filled = inpaint_cli.fill(np.zeros((20, 30, 3)), regions=[(4, 4, 5, 5)], model=model)
    assert filled.array[5, 5, 0] == pytest.approx(0.5)


def test_a_fill_imports_no_torch(tmp_path: Path):
    write_lama(tmp_path / "net.onnx")
    code = (
        "import sys, numpy as np, inpaint_cli\n"
        f"photo = np.zeros((20, 30, 3), np.uint8)\n"
        f"inpaint_cli.fill(photo, regions=[(4, 4, 5, 5)], model={str(tmp_path / 'net.onnx')!r})\n"
        "assert not {'torch', 'onnx', 'spandrel'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_its_devices_are_those_of_onnxruntime(tmp_path: Path):
    path = write_migan(tmp_path / "net.onnx")
    with pytest.raises(InpaintError, match="has no device 'cuda:1' on this machine; try --device"):
        load_model(path, device="cuda:1")
    with pytest.raises(InpaintError, match="full precision alone"):
        load_model(path, device="cpu", precision="bf16")


def test_as_many_threads_as_asked_for_give_the_same_bits(tmp_path: Path, monkeypatch):
    fills = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        filler = Onnx.read(write_lama(tmp_path / "net.onnx")).make("cpu")
        options = filler.session.get_session_options()  # pyright: ignore
        assert options.intra_op_num_threads == int(threads)
        rgb = np.random.default_rng(1).random((64, 64, 3), np.float32)
        fills.append(filler.fill(rgb, rgb[..., 0] > 0.5, RNG))
    assert np.array_equal(fills[0], fills[1])
    assert np.array_equal(fills[0], fills[2])


def keep_outside(path: Path, location: str) -> Path:
    """Move a tensor of the file into another one."""
    model = onnx.load(write_lama(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    return path


def cut(path: Path) -> Path:
    path.write_bytes(write_lama(path).read_bytes()[:-40])
    return path


def text(path: Path) -> Path:
    path.write_text("no ONNX file")
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


OURS = {"names": ("visible", "mask")}


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (text, "is no ONNX file, damaged, or for a newer onnxruntime than"),
        (cut, "is no ONNX file, damaged"),
        (empty, "cannot be read"),
        (lambda path: path, "cannot be read"),
        (lambda path: write_painter(path, opset=99), r"or for a newer onnxruntime than \d"),
        (lambda path: keep_outside(path, "/etc/passwd"), "keeps tensors in other files"),
        (lambda path: keep_outside(path, "weights.bin"), "keeps tensors in other files"),
        (lambda path: write_painter(path, names=("pixels", "mask")), "fills no holes that we know"),
        (lambda path: write_painter(path, channels=(4, 1)), "fills no holes .*takes image"),
        (lambda path: write_painter(path, sides=(64, 32)), "takes 32 x 64 pixels alone"),
        (lambda path: write_painter(path, **OURS, header={"sizes": "[1]"}), "that cannot be used"),
        (
            lambda path: write_painter(path, **OURS, header={"sizes": '{"multiple": 0}'}),
            "that cannot be used",
        ),
        (
            lambda path: write_painter(path, **OURS, header={"sizes": '{"x": 1}'}),
            "that cannot be used",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(write, sentence: str, tmp_path: Path):
    with pytest.raises(WeightsError, match=sentence):
        Onnx.read(write(tmp_path / "net.onnx")).make("cpu")


def test_a_file_that_fails_as_it_runs_is_named_as_the_culprit(tmp_path: Path):
    path = write_painter(tmp_path / "net.onnx", sides=("h", "w"), kind=FLOAT)
    model = onnx.load(path)
    model.graph.node.insert(0, onnx.helper.make_node("Reshape", ["image", "never"], ["wrong"]))
    shape = onnx.numpy_helper.from_array(np.array([1, 7], np.int64), "never")
    model.graph.initializer.append(shape)
    model.graph.node[2].input[0] = "wrong"
    onnx.save(model, path)
    filler = Onnx.read(path).make("cpu")
    with pytest.raises(WeightsError, match="the network does not run"):
        filler.fill(np.zeros((8, 8, 3), np.float32), np.eye(8, dtype=np.bool_), RNG)
