import json
import struct
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from pydantic import PositiveInt
from torch import nn

from inpaint_cli import registry
from inpaint_cli.api.architectures import Architecture, Sizes
from inpaint_cli.api.formats import Foreign, Format
from inpaint_cli.api.settings import Settings
from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError, PluginError, WeightsError
from inpaint_cli.models import choose as models
from inpaint_cli.models import weights


class Width(Settings):
    width: PositiveInt = 2


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(4, 3 * width, 3, padding=1)
        self.tied = self.conv

    def forward(self, visible, mask):
        return self.conv(torch.cat([visible, mask], 1))[:, :3]


class Tiny(Architecture):
    """A convolution."""

    settings = Width
    stochastic = True

    @staticmethod
    def build(settings):
        return Net(settings.width)

    @staticmethod
    def sizes(settings):
        return Sizes(multiple=settings.width)


class Ready(Tiny):
    """Fills as it is built."""

    needs_weights = False


class Never(Format):
    @staticmethod
    def read(path):
        raise WeightsError("not one of these")


class Lines(Format):
    @staticmethod
    def read(path):
        if not path.read_bytes().startswith(b"lines"):
            raise WeightsError("does not begin with 'lines'")
        return Foreign("Lines", Net(1), Sizes(minimum=16))


def plugin(name, cls):
    return SimpleNamespace(
        name=name, load=lambda: cls, distro=SimpleNamespace(name="demo", version="1.2")
    )


PLUGINS = {
    "architectures": {"tiny": Tiny, "ready": Ready, "patchmatch": Ready},
    "formats": {"lines": Lines, "never": Never},
}


@pytest.fixture(autouse=True)
def plugins(monkeypatch, tmp_path):
    found = {k: {n: [plugin(n, c)] for n, c in v.items()} for k, v in PLUGINS.items()}
    monkeypatch.setattr(registry, "find_plugins", lambda kind: found.get(kind, {}))
    monkeypatch.setattr(models, "config_dir", lambda: tmp_path / "home")
    for variable in ("INPAINT_WEIGHTS", "INPAINT_WEIGHTS_DIR"):
        monkeypatch.delenv(variable, raising=False)
    return found


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    weights.write_weights(
        path, "tiny", Width(width=2), Net(2), notes={"licence": "CC0", "step": "7"}
    )
    return path


def with_header(path, change, *, raw=None):
    """Rewrite the safetensors header of `path`."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    change(entries)
    text = raw if raw is not None else json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_what_was_written_is_read(file):
    model = weights.read_weights(file)
    torch.manual_seed(0)
    for a, b in zip(Net(2).state_dict().values(), model.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert (model.name, model.sizes, model.stochastic) == ("tiny", Sizes(multiple=2), True)
    assert model.precisions == ("full", "bf16")
    assert not model.net.training
    assert model.header == {
        "format": "1",
        "inpaint": version("inpaint-cli"),
        "architecture": "tiny",
        "settings": '{"width":2}',
        "plugin": "demo 1.2",
        "licence": "CC0",
        "step": "7",
    }


def test_inspect_counts_without_reading(file):
    contents = weights.inspect_weights(file)
    assert contents.ours
    assert contents.bytes == file.stat().st_size
    assert contents.tensors["conv.weight"] == ("F32", (6, 4, 3, 3))
    assert contents.values == 2 * (6 * 4 * 9 + 6)


def missing_key(e):
    e["other"] = e.pop("conv.bias")


def shape(e):
    e["conv.bias"] |= {"shape": [2, 3]}


def meta(**values):
    return lambda e: e["__metadata__"].update(values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (missing_key, "conv.bias is missing, other is not known; it was written by demo 1.2"),
        (shape, "conv.bias is of another shape"),
        (
            meta(format="2", inpaint="3.1"),
            "has format 2, unknown to inpaint {}; it needs inpaint 3.1",
        ),
        (meta(settings='{"width":0}'), "width: input should be greater than 0"),
        (meta(settings='{"wide":0}'), "wide: extra inputs are not permitted"),
        (meta(settings="{"), "invalid JSON"),
        (
            meta(settings='{"width":3}'),
            "conv.bias, conv.weight, tied.bias and 1 more are of another",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(file, change, told):
    with_header(file, change)
    with pytest.raises(WeightsError) as error:
        weights.read_weights(file)
    assert told.format(version("inpaint-cli")) in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_plugin_is_named(file):
    with_header(file, meta(architecture="tinny", plugin="acme 1.0"))
    with pytest.raises(
        PluginError, match=r"needs acme 1.0: no architecture named 'tinny'; did you"
    ):
        weights.read_weights(file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: b"",
        lambda d: d[:5],
        lambda d: d[:-1],
        lambda d: d + b"x",
        lambda d: b"\xff" * 8 + d[8:],
        lambda d: d[:8] + b"\xff" * 40 + d[48:],
        lambda d: struct.pack("<Q", 2) + b"[]",
        lambda d: struct.pack("<Q", 8) + b'{"a": 1}',
        lambda d: struct.pack("<Q", 30000) + b"[" * 30000,
        lambda d: b"lines, but named as ours",
    ],
)
def test_damaged_files_are_refused(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    for act in (weights.read_weights, weights.inspect_weights):
        with pytest.raises(WeightsError, match=r"damaged"):
            act(file)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="there is no weights file"):
        weights.read_weights(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.read_weights(tmp_path)


def test_other_programs_files_go_to_the_plugins(tmp_path):
    path = tmp_path / "big.pt"
    path.write_bytes(b"lines")
    model = models.load_model(path)
    assert (model.name, model.filler.sizes, model.weights) == ("Lines", Sizes(minimum=16), path)
    path.write_bytes(b"circles")
    with pytest.raises(WeightsError, match=r"lines: does not begin .*; never: not one of these"):
        weights.read_weights(path)


def test_a_safetensors_file_without_our_header_goes_there_too(file):
    with_header(file, lambda e: e.pop("__metadata__"))
    with pytest.raises(WeightsError, match="no header of inpaint"):
        weights.read_weights(file)


def test_the_model_that_is_meant(file, tmp_path, monkeypatch):
    def open_model(name=None, weights=None):
        return models.load_model(models.ModelRef(name, weights and str(weights)))

    (note,) = open_model().notes
    assert "patchmatch" in note
    assert open_model("ready").weights is None
    assert open_model("tiny", file).weights == file
    with pytest.raises(WeightsError, match="holds weights for 'tiny', not for 'ready'"):
        open_model("ready", file)
    with pytest.raises(WeightsError, match=r"'tiny' needs weights: give --weights FILE"):
        open_model("tiny")
    with pytest.raises(WeightsError, match="no model named 'redy'; did you mean 'ready'"):
        open_model("redy")
    with pytest.raises(WeightsError, match="no model named 'none'"):
        open_model(weights="none")

    monkeypatch.setenv("INPAINT_WEIGHTS_DIR", str(tmp_path))
    assert open_model("w").weights == file
    assert open_model(weights="w").weights == file
    (tmp_path / "tiny.safetensors").write_bytes(file.read_bytes())
    assert open_model("tiny").weights == tmp_path / "tiny.safetensors"
    (tmp_path / "ready.safetensors").write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match="both a filler and the file"):
        open_model("ready")

    models.store_choice("w")
    assert open_model().weights == file
    assert "inpaint weights use" in open_model().notes[0]
    monkeypatch.setenv("INPAINT_WEIGHTS", "patchmatch")
    assert "$INPAINT_WEIGHTS" in open_model().notes[0]
    assert open_model().name == "patchmatch"


def test_use_remembers_and_forgets(file):
    run = CliRunner().invoke
    assert run(main, ["weights", "use", str(file)]).exit_code == 0
    assert models.stored_choice() == str(file)
    assert run(main, ["weights", "use", "redy"]).exit_code == 1
    assert models.stored_choice() == str(file)
    assert run(main, ["weights", "use", "--none"]).exit_code == 0
    assert models.stored_choice() is None
    assert run(main, ["weights", "use"]).exit_code == 2
    models.store_choice("ready")
    (models.config_dir() / "weights.json").write_text("{")
    with pytest.raises(InpaintError, match="--none"):
        models.stored_choice()


def test_inspect_and_models_on_the_command_line(file, tmp_path, monkeypatch, plugins):
    monkeypatch.setenv("INPAINT_WEIGHTS_DIR", str(tmp_path))
    told = CliRunner().invoke(main, ["weights", "inspect", str(file)])
    assert "4 tensors" in told.output
    assert "CC0" in told.output
    facts = json.loads(CliRunner().invoke(main, ["weights", "inspect", "w", "--json"]).stdout)
    assert facts["header"]["step"] == "7"

    def broken():
        raise ImportError("no such thing")

    plugins["architectures"]["bad"] = [
        SimpleNamespace(**vars(plugin("bad", None)) | {"load": broken})
    ]
    (tmp_path / "torn.safetensors").write_bytes(b"x")
    result = CliRunner().invoke(main, ["models", "--json"])
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["w"]["licence"] == "CC0"
    assert rows["w"]["ready"]
    assert rows["ready"]["ready"]
    assert not rows["tiny"]["ready"]
    assert "torn.safetensors" in result.stderr
    assert "bad" in result.stderr
    assert "needs weights" in CliRunner().invoke(main, ["models"]).output


def test_a_copy_to_give_away_is_half_as_large_and_says_its_licence(file):
    copy = file.with_name("copy.safetensors")
    line = ["weights", "export", str(file), "-o", str(copy), "--half", "--note", "licence=mine"]
    told = CliRunner().invoke(main, line)
    assert told.exit_code == 0, told.output
    before, after = weights.inspect_weights(file), weights.inspect_weights(copy)
    assert after.header == {**before.header, "licence": "mine"}
    assert {kind for kind, _ in after.tensors.values()} == {"F16"}
    given, own = (
        weights.read_weights(copy).net.state_dict(),
        weights.read_weights(file).net.state_dict(),
    )
    assert all(torch.equal(given[key], own[key].half().float()) for key in own)
    again = CliRunner().invoke(main, line)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert weights.inspect_weights(copy) == after


def test_a_folder_of_the_same_name_does_not_hide_weights(file, tmp_path, monkeypatch):
    monkeypatch.setenv("INPAINT_WEIGHTS_DIR", str(file.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / file.stem).mkdir()
    assert models.locate_weights(file.stem) == file


def test_a_copy_cannot_say_it_is_something_else_or_lose_numbers(file):
    copy = file.with_name("copy.safetensors")
    with pytest.raises(WeightsError, match=r"architecture .* cannot be changed"):
        weights.export_weights(file, copy, half=False, notes={"architecture": "other"})
    model = weights.read_weights(file)
    model.net.conv.weight.data[0] = 1e6
    weights.write_weights(file, "tiny", Width(), model.net)
    with pytest.raises(WeightsError, match="do not fit into 16 bits"):
        weights.export_weights(file, copy, half=True, notes={})
    assert not copy.exists()
