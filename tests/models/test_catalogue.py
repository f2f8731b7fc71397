"""Published models by name: what the catalogue says, and what becomes of it on this machine."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from onnx_files import write_lama, write_migan
from PIL import Image
from places import ROOT
from server import Shop, open_shop
from spandrel.architectures.LaMa import LaMa
from toy import declare

import inpaint_cli
from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.errors import PluginError, WeightsError
from inpaint_cli.files.fetch import data_dir
from inpaint_cli.models import catalogue
from inpaint_cli.models.choose import load_model
from inpaint_plugins.published import Published

ENTRIES = json.loads(Published.path().read_text("utf-8"))
FILES = {file["name"]: file for entry in ENTRIES.values() for file in entry.get("files", ())}


def inpaint(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def lama_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The full network, which spandrel builds in no other size, with random weights."""
    with torch.device("meta"):
        wanted = LaMa(in_nc=4, out_nc=3).state_dict()
    path = tmp_path_factory.mktemp("lama") / "lama.pt"
    ones = {name: torch.full(like.shape, 0.01).half() for name, like in wanted.items()}
    torch.save(ones, path)
    return path.read_bytes()


def make_content(name: str, lama: bytes, folder: Path) -> bytes:
    """Return a file of the kind that `name` stands for."""
    if name.endswith(".onnx"):
        write = write_migan if "migan" in name else write_lama
        return write(folder / "made.onnx").read_bytes()
    return lama if "lama" in name else b"made of nothing"


@pytest.fixture
def shop(lama_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A publisher of files made for each entry, whose catalogue names their hashes."""
    entries = json.loads(Published.path().read_text("utf-8"))
    with open_shop() as shop:
        for entry in entries.values():
            for file in entry.get("files", ()):
                content = make_content(file["name"], lama_file, tmp_path)
                shop.files[file["name"]] = content
                file["url"] = f"{shop.url}/{file['name']}"
                file["bytes"], file["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        path = tmp_path / "published.yaml"
        path.write_text(yaml.safe_dump(entries))
        monkeypatch.setattr(Published, "path", staticmethod(lambda: path))
        monkeypatch.delenv("INPAINT_OFFLINE")
        yield shop


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_says_what_its_user_should_know(name: str):
    model = catalogue.read_model(name)
    assert model.summary.endswith(".")
    assert model.licence
    assert model.trained_on
    for file in model.files:
        assert file.url.startswith("https://")
        assert file.bytes > 1e6
        assert file.url.endswith(f"/{file.name}")
    listed = json.loads(inpaint("models", "--json").stdout)
    (entry,) = [m for m in listed if m["name"] == name]
    assert not entry["ready"]
    assert entry["licence"] == model.licence
    assert entry["bytes"] == model.bytes


@pytest.mark.parametrize("name", [n for n, entry in ENTRIES.items() if "files" in entry])
def test_each_is_fetched_and_fills_or_says_what_it_needs(shop: Shop, name: str, photo: Path):
    fill = ("fill", photo, "--region", "8,8,9,9", "--model", name, "--overwrite")
    missing = inpaint(*fill)
    assert missing.exit_code == 1
    assert f"'{name}' is not on this machine: `inpaint models get {name}` (" in missing.stderr
    got = inpaint("models", "get", name)
    assert got.exit_code == 0, got.output
    assert ENTRIES[name]["licence"] in got.stderr
    assert Path(got.stdout.strip()).parent == data_dir() / "weights"
    filled = inpaint(*fill)
    if name != "mat":
        assert filled.exit_code == 0, filled.output
        assert f"{name}: its weights: {ENTRIES[name]['licence']}, trained on" in filled.stderr
        assert "its weights" not in inpaint(*fill).stderr, "told twice"
    else:
        assert filled.exit_code == 1
        assert ENTRIES[name]["needs"] in got.stderr
    assert inpaint("models", "rm", name).exit_code == 0
    assert inpaint(*fill).exit_code == 1
    assert len(shop.asked) == 1


@pytest.mark.parametrize("name", [n for n, entry in ENTRIES.items() if "by_hand" in entry])
def test_what_cannot_be_fetched_says_where_it_is(name: str):
    got = inpaint("models", "get", name)
    assert got.exit_code == 1
    assert "download" in got.stderr
    assert "github.com/" in got.stderr
    if name in registry.find_plugins("architectures"):
        filled = inpaint("fill", ROOT / "docs" / "demo.jpg", "--region", "1,1,5,5", "--model", name)
        assert f"weights convert FILE --to {name}" in filled.stderr


def test_fill_fetches_when_told_to_and_from_a_mirror(shop: Shop, photo: Path, tmp_path: Path):
    fill = ("fill", photo, "--region", "8,8,9,9", "-o", tmp_path / "out.png")
    done = inpaint(*fill, "--model", "big-lama", "--download")
    assert done.exit_code == 0, done.output
    assert [path for path, _ in shop.asked] == ["/big-lama.pt"]
    assert inpaint("models", "rm", "big-lama").exit_code == 0
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "big-lama.pt").write_bytes(shop.files["big-lama.pt"])
    got = inpaint("models", "get", "big-lama", "--from", tmp_path / "stick", "--offline")
    assert got.exit_code == 0, got.output
    assert len(shop.asked) == 1
    again = inpaint(*fill, "--model", "big-lama", "--overwrite")
    assert again.exit_code == 0, again.output


def test_lama_without_weights_names_what_can_be_fetched(photo: Path):
    done = inpaint("fill", photo, "--region", "8,8,9,9", "--model", "lama")
    assert done.exit_code == 1
    assert (
        "published ones: `inpaint models get big-lama` (206 MB, licence Apache-2.0)" in done.stderr
    )


def test_a_name_that_is_nearly_one_is_corrected():
    assert "did you mean 'big-lama'?" in inpaint("models", "get", "big-lma").stderr
    with pytest.raises(WeightsError, match="did you mean 'big-lama'"):
        load_model("big-lma")


def test_what_another_program_fetched_is_used_and_stays(shop: Shop, tmp_path: Path, monkeypatch):
    cache = tmp_path / "torch" / "hub" / "checkpoints" / "big-lama.pt"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(shop.files["big-lama.pt"])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert inpaint("models", "get", "big-lama").stdout == f"{cache}\n"
    assert not shop.asked
    assert load_model("big-lama").weights == cache
    removed = inpaint("models", "rm", "big-lama")
    assert removed.exit_code == 1
    assert f"stands in {cache}, which is not ours: nothing was deleted" in removed.stderr
    assert cache.exists()


def test_a_file_that_changed_is_neither_loaded_nor_deleted(shop: Shop):
    path = inpaint_cli.get_model("big-lama")
    path.write_bytes(shop.files["big-lama.pt"][:-1] + b"?")
    with pytest.raises(WeightsError, match=r"is damaged, or not the published big-lama\.pt"):
        load_model("big-lama")
    with pytest.raises(WeightsError, match="is damaged"):
        inpaint_cli.remove_model("big-lama")
    assert path.exists()


def test_a_part_of_a_download_can_be_removed(shop: Shop):
    shop.manners = {"status": 404}
    with pytest.raises(WeightsError, match="could not be fetched"):
        inpaint_cli.get_model("mat")
    (part,) = inpaint_cli.remove_model("mat")
    assert part.suffix == ".part"
    assert not part.exists()


EXTRA = """
tidy:
  summary: A network of another package.
  licence: MIT
  trained_on: rooms
  files:
  - {name: tidy.safetensors, url: https://weights.invalid/tidy.safetensors, bytes: 7, sha256: %s}
""" % ("a" * 64)


def add_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Install a package with a catalogue of `text`."""
    folder.mkdir()
    (folder / "tidy.yaml").write_text(text)
    (folder / "tidy_models.py").write_text(
        "from pathlib import Path\nfrom inpaint_cli.api import Catalogue\n"
        "class Tidy(Catalogue):\n    @staticmethod\n"
        "    def path():\n        return Path(__file__).with_name('tidy.yaml')\n"
    )
    declare(folder, "tidy-models", "[inpaint.catalogues]\ntidy = tidy_models:Tidy\n")
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("tidy_models", None)


def test_a_package_adds_entries_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add_catalogue(tmp_path / "site", monkeypatch, EXTRA)
    listed = inpaint("models").stdout
    assert "not here, 0 MB: inpaint models get tidy" in listed
    assert "inpaint models get big-lama" in listed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (EXTRA.replace("licence: MIT", "license: MIT"), "'tidy': .*license"),
        (EXTRA.replace("a" * 64, "0" * 64), r"tidy\.safetensors has no full SHA-256"),
        (EXTRA.replace("name: tidy", "name: ../tidy"), "is no name of a file"),
        (EXTRA.replace("https://weights.invalid/", "file:///etc/"), "is no address"),
        (EXTRA.replace("bytes: 7", "bytes: seven"), "'tidy': invalid literal"),
        (EXTRA.replace("bytes: 7, ", ""), "'tidy': 'bytes'"),
        (EXTRA.partition("  files")[0], "must have either files or by_hand"),
        ("- tidy", "is damaged"),
        ("tidy: !!python/object/apply:os.mkdir [sprung]", "is damaged"),
        ("tidy: [", "is damaged"),
        ("x" * 1_000_001, "too long"),
    ],
)
def test_a_broken_catalogue_is_named_and_hurts_no_other(
    text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    add_catalogue(tmp_path / "site", monkeypatch, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError, match=sentence):
        catalogue.read_catalogue(tmp_path / "site" / "tidy.yaml")
    listed = inpaint("models")
    assert listed.exit_code == 0
    assert "big-lama" in listed.stdout
    assert "left out: the catalogue" in listed.stderr
    assert not (tmp_path / "sprung").exists()


def test_a_list_of_fifty_imports_no_torch_and_takes_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    site = tmp_path / "site"
    text = "".join(EXTRA.replace("tidy", f"tidy-{n}") for n in range(50))
    add_catalogue(site, monkeypatch, text)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from inpaint_cli.models.choose import list_models\n"
        "models, broken = list_models()\n"
        "assert not broken and len(models) > 60, (len(models), broken)\n"
        "assert not {'torch', 'huggingface_hub', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    catalogue.read_catalogue.cache_clear()
    begin = time.process_time()
    assert len(catalogue.read_catalogue(site / "tidy.yaml")) == 50
    assert time.process_time() - begin < 0.1
