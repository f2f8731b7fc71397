"""Weights shared as a folder, and read from the Hub: what is published fills bit for bit."""

import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from server import COMMIT, Handler, Shop, open_shop
from small import SMALL

import inpaint_cli
from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError, WeightsError
from inpaint_cli.files.fetch import hub_cache_dir
from inpaint_cli.models import hub, weights
from inpaint_cli.models.choose import ModelRef, load_model

LICENCE = "non-commercial research only (CelebA's terms)"


def inpaint(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    architecture = registry.load_plugin("architectures", "pconv")
    settings = architecture.settings.model_validate(SMALL["pconv"]["model"])
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    notes = {"licence": "MIT", "data": "files", "step": "7", "summary": "Rooms.\nOnly rooms."}
    weights.write_weights(path, "pconv", settings, architecture.build(settings), notes=notes)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def hub_shop(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A Hub on loopback with the folder that `weights publish` makes, as me/rooms."""
    inpaint_cli.publish_weights(file, tmp_path / "share", notes={"trained_on": "photos of rooms"})
    hub.fetch_once.cache_clear()
    with open_shop() as shop:
        files = sorted((tmp_path / "share").iterdir())
        shop.repositories["me/rooms"] = {path.name: path.read_bytes() for path in files}
        monkeypatch.setenv("HF_ENDPOINT", shop.url)
        monkeypatch.delenv("INPAINT_OFFLINE")
        yield shop


def write_result(folder: Path) -> Path:
    """Evaluate one photo against itself, and return the folder of the result."""
    for name in ("fills", "truth", "masks"):
        (folder / name).mkdir(parents=True)
        picture = np.full((32, 32, 3), 255 if name == "masks" else 90, np.uint8)
        picture[:16] = 0
        Image.fromarray(picture).save(folder / name / "secret-name.png")
    args = (folder / "truth", "--masks", folder / "masks", "--features", "none")
    done = inpaint("eval", folder / "fills", *args, "-o", folder / "eval")
    assert done.exit_code == 0, done.output
    return folder / "eval"


def test_a_published_folder_says_what_its_reader_should_know(file: Path, tmp_path: Path):
    evaluated, share = write_result(tmp_path / "set"), tmp_path / "share"
    share.mkdir()
    (share / "notes.txt").write_text("mine")
    line = ("weights", "publish", file, "--scores", evaluated, "--repository", "me/rooms")
    line = (*line, "--note", "trained_on=photos of rooms")
    done = inpaint(*line, "-o", share)
    assert done.exit_code == 0, done.output
    assert "share it only if you may" in done.stderr
    names = ["README.md", "model.safetensors", "notes.txt", "numbers.json", "sheet.png"]
    assert sorted(path.name for path in share.iterdir()) == names
    text = (share / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "mit"
    assert (front["library_name"], front["pipeline_tag"]) == ("inpaint-cli", "image-to-image")
    assert {"inpainting", "pconv"} <= set(front["tags"])
    result = json.loads((evaluated / "result.json").read_text("utf-8"))
    for part in (
        "inpaint fill photo.jpg --mask mask.png --weights hf:me/rooms",
        "- Data: photos of rooms",
        "Rooms. Only rooms.",
        "| `levels` | `3` |",
        f"fingerprint `{result['fingerprint']}`",
        "| psnr",
        "](sheet.png)",
    ):
        assert part in text, part
    assert "research" not in text
    assert (share / "sheet.png").read_bytes() == (evaluated / "worst.png").read_bytes()
    numbers = json.loads((share / "numbers.json").read_text("utf-8"))
    assert numbers["results"][0]["table"] == result["table"]
    assert "secret-name" not in text + json.dumps(numbers)
    with (share / "model.safetensors").open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        assert json.loads(opened.read(length))["__metadata__"]["format"] == "pt"
    again = inpaint(*line, "-o", tmp_path / "again")
    assert again.exit_code == 0
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (share / path.name).read_bytes(), path.name


def test_nothing_is_replaced_unless_told(file: Path, tmp_path: Path):
    share = tmp_path / "share"
    share.mkdir()
    (share / "README.md").write_text("mine")
    done = inpaint("weights", "publish", file, "-o", share)
    assert done.exit_code == 1
    assert "README.md exists already" in done.stderr
    assert [path.name for path in share.iterdir()] == ["README.md"]
    assert (share / "README.md").read_text() == "mine"
    assert inpaint("weights", "publish", file, "-o", share, "--overwrite").exit_code == 0
    # what it has made is weights like others, and can be made again from itself
    made = (share / "model.safetensors").read_bytes()
    inpaint_cli.publish_weights(share / "model.safetensors", share, overwrite=True)
    assert (share / "model.safetensors").read_bytes() == made
    assert weights.inspect_weights(share / "model.safetensors").header["format"] == "1"


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({"data": "celebahq", "licence": "MIT"}, LICENCE),
        ({"licence": LICENCE}, LICENCE),
        ({"licence": "CC BY-NC 4.0"}, "CC BY-NC 4.0"),
    ],
)
def test_a_card_says_that_weights_are_for_research_only(
    notes: dict[str, str], words: str, file: Path, tmp_path: Path
):
    made = inpaint_cli.publish_weights(file, tmp_path / "share", notes=notes)
    text = (tmp_path / "share" / "README.md").read_text("utf-8")
    assert "**For research only**" in text
    assert words in text
    front = yaml.safe_load(text.split("---\n")[1])
    named = notes["licence"].startswith("CC")
    assert front["license"] == ("cc-by-nc-4.0" if named else "other")
    assert front.get("license_name") == (None if named else "research-only")
    assert any("for research only" in note for note in made.notes)


def test_the_folder_of_a_training_gives_its_best_weights_and_scores(file: Path, tmp_path: Path):
    run = tmp_path / "run"
    (run / "sheets").mkdir(parents=True)
    file.rename(run / "best.safetensors")
    (run / "weights.safetensors").write_text("the last ones")
    Image.new("RGB", (8, 8)).save(run / "sheets" / "00000007.png")
    events = [{"event": "validation", "step": n, "scores": {"psnr": 20.0 + n}} for n in (3, 7, 9)]
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    inpaint_cli.publish_weights(run, tmp_path / "share")
    assert "psnr 27." in (tmp_path / "share" / "README.md").read_text("utf-8")
    assert (tmp_path / "share" / "sheet.png").is_file()
    inpaint_cli.publish_weights(run, tmp_path / "share", sheet=False, overwrite=True)
    assert not (tmp_path / "share" / "sheet.png").exists()
    assert "sheet.png" not in (tmp_path / "share" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": "nowhere.safetensors"}, "there is no weights file"),
        ({"weights": "."}, r"has no weights\.safetensors"),
        ({"scores": ["."]}, "is not a complete result.json"),
        ({"repository": "rooms"}, "should be OWNER/NAME"),
        ({"notes": {"format": "pt"}}, "cannot be changed"),
        ({"output": "mine.safetensors"}, "is a file; name a folder"),
    ],
)
def test_what_cannot_be_published_is_refused_and_leaves_nothing(
    change: dict, sentence: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InpaintError, match=sentence):
        inpaint_cli.publish_weights(**{"weights": file, "output": "share"} | change)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine.safetensors"]


def test_what_was_published_fills_bit_for_bit_by_its_name(
    hub_shop: Shop, file: Path, photo: Path, tmp_path: Path
):
    fill = ("fill", photo, "--region", "8,8,9,9")
    named = inpaint(*fill, "--weights", "hf:me/rooms", "-o", tmp_path / "named.png")
    assert named.exit_code == 0, named.output
    assert "hf:me/rooms: its weights: MIT, trained on photos of rooms (said once)" in named.stderr
    assert inpaint(*fill, "--weights", file, "-o", tmp_path / "own.png").exit_code == 0
    assert (tmp_path / "named.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    again = inpaint(*fill, "--weights", "hf:me/rooms", "-o", tmp_path / "again.png")
    assert "its weights" not in again.stderr
    fetched = [path for path, _ in hub_shop.asked if "/resolve/" in path]
    assert set(fetched) == {"/me/rooms/resolve/main/model.safetensors"}
    model = load_model(f"hf:me/rooms@{COMMIT}")
    assert model.weights
    assert model.weights.is_relative_to(hub_cache_dir())
    assert ModelRef.parse("hf:me/rooms").identity == ModelRef(weights=str(model.weights)).identity
    assert inpaint("weights", "inspect", "hf:me/rooms").exit_code == 0


def test_what_was_fetched_is_used_without_the_net(hub_shop: Shop, monkeypatch: pytest.MonkeyPatch):
    path = hub.fetch_weights("hf:me/rooms")
    count = len(hub_shop.asked)
    assert hub.fetch_weights("hf:me/rooms") == path
    assert len(hub_shop.asked) == count, "asked twice in one process"
    for name in ("INPAINT_OFFLINE", "HF_HUB_OFFLINE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert hub.fetch_weights("hf:me/rooms") == path
            assert hub.fetch_weights(f"hf:me/rooms@{COMMIT}") == path
            with pytest.raises(WeightsError, match="is not on this machine, and nothing is downl"):
                hub.fetch_weights("hf:me/kitchens")
    hub.fetch_once.cache_clear()
    hub_shop.manners["status"] = 404
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    assert hub.fetch_weights("hf:me/rooms") == path
    assert hub.fetch_weights(f"hf:me/rooms@{COMMIT}") == path


@pytest.mark.parametrize(
    ("name", "status", "files", "sentence"),
    [
        ("hf:me/rooms", 404, None, "me/rooms does not exist, or is private"),
        ("hf:me/rooms", 401, None, "me/rooms does not exist, or is private"),
        ("hf:me/rooms", 403, None, "has terms to be accepted"),
        ("hf:me/rooms", 500, None, "could not be fetched: .*; try again"),
        ("hf:me/rooms@v2", 0, None, "has no revision 'v2'"),
        ("hf:rooms", 0, None, "names no repository; write hf:owner/name"),
        ("hf:me/../rooms", 0, None, "names no repository"),
        ("hf:me/rooms@../../x", 0, None, "names no repository"),
        ("hf:me/rooms", 0, {"README.md": b"", "net.pt": b"x"}, "has no safetensors file"),
        (
            "hf:me/rooms",
            0,
            {"a.safetensors": b"a", "b.safetensors": b"b"},
            r"has 2 safetensors files, a\.safetensors, b\.safetensors",
        ),
        ("hf:me/rooms", 0, {"a.safetensors": b"\x80\x04pickle"}, "is not a safetensors file"),
    ],
)
def test_what_cannot_be_read_from_the_hub_is_one_sentence(
    name: str, status: int, files: dict | None, sentence: str, hub_shop: Shop
):
    if status:
        hub_shop.closed["me/rooms"] = status
    if files:
        hub_shop.repositories["me/rooms"] = files
    with pytest.raises(WeightsError, match=sentence) as raised:
        load_model(name)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_too_large_or_another_is_not_used(
    hub_shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(hub, "LARGEST_FILE", 10)
        with pytest.raises(WeightsError, match="above 0 GB: give a weights file"):
            hub.fetch_weights("hf:me/rooms")
    real = hub_shop.repositories["me/rooms"]["model.safetensors"]

    def swap(self: Handler, path: str) -> bytes | None:
        """Send another file of the same size than was announced."""
        content = find(self, path)
        return real[:-1] + b"!" if content == real else content

    find = Handler.find_on_hub
    monkeypatch.setattr(Handler, "find_on_hub", swap)
    with pytest.raises(WeightsError, match=r"model\.safetensors came damaged, and was deleted"):
        hub.fetch_weights("hf:me/rooms")
    assert not [p for p in hub_cache_dir().rglob("*") if p.suffix == ".safetensors"]
    monkeypatch.setattr(Handler, "find_on_hub", find)
    assert hub.fetch_weights("hf:me/rooms").read_bytes() == real


def test_a_download_that_is_cut_is_no_file(hub_shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub_shop.manners = {"cut": 2000}
    with pytest.raises(WeightsError, match=r"me/rooms could not be fetched: .*; try again"):
        hub.fetch_weights("hf:me/rooms")
    assert not [p for p in hub_cache_dir().rglob("*") if p.suffix == ".safetensors"]
