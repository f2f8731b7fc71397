"""Mutated inputs of every kind: whatever they are, an error is ours, and nothing outside changes.

A crash is any exception that is not an `InpaintError`. This many are tried by
`FUZZ=100000 python -m pytest -m slow tests/test_fuzz.py`.
"""

import io
import json
import os
import random
import resource
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import process_time

import numpy as np
import pillow_jxl  # noqa: F401 (Pillow writes JPEG XL by it)
import pytest
import torch
from click.testing import CliRunner
from onnx_files import write_migan
from PIL import Image
from places import ROOT

from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError
from inpaint_cli.files.zips import read_zip_member, zip_names
from inpaint_cli.filling.ledger import parse_ledger
from inpaint_cli.filling.photo import fill
from inpaint_cli.filling.provenance import read_card, write_card
from inpaint_cli.images import read_mask, read_photo, to_array
from inpaint_cli.masks.generate import generate_masks
from inpaint_cli.masks.manifest import read_manifest
from inpaint_cli.models.convert import convert_checkpoint
from inpaint_cli.models.weights import (
    ForeignFiller,
    read_model_file,
    read_weights,
    write_weights,
)
from inpaint_cli.recipe.plugins import build_inputs
from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.registry import load_plugin
from inpaint_cli.training.checkpoint import read_state

MOST_SECONDS, MOST_MEMORY = 20, 2**21  # of an input; KiB beyond what the process held before
FEW, MANY = 12, int(os.environ.get("FUZZ", "2000"))
SPICE = [
    b"\0", b"\xff", b"\n", b"[", b"{", b"}", b'"', b":", b"-", b"1e400", b"[" * 5000, b"-1",
    b"99999999999999999999", b"null", b"\xe2\x80\xa8", b"\x1b[2J", b"../", b"!!python/none x",
    b"!!bool x", b"!!int ''", b"!!timestamp x",
]  # fmt: skip


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change a few bytes, drop or double a part, or put something unlikely in."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] = chance.randrange(256)
            case 1 if changed:
                changed[at % len(changed)] ^= 1 << chance.randrange(8)
            case 2:
                del changed[at : at + chance.choice([1, 4, 100, 10**6])]
            case 3:
                changed[at:at] = changed[max(0, at - 64) : at]
            case _:
                spice = chance.choice(SPICE)
                changed[at : at + chance.choice([0, len(spice)])] = spice
    return bytes(changed)


def picture(format: str, mode: str = "RGB") -> bytes:
    chance, file = np.random.default_rng(3), io.BytesIO()
    levels = chance.integers(0, 255, (24, 32, len(mode)), np.uint8)
    Image.fromarray(levels.squeeze(), mode).save(file, format)
    return file.getvalue()


def packed_tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name in ("a/sea.png", "ä.png", "x" * 200 + ".png"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return file.getvalue()


def photo(path: Path) -> None:
    """Fill a photo; outside the hole it must not change."""
    hole = np.zeros(read_photo(path).size, bool)
    hole[: max(1, len(hole) // 3), :2] = True
    filled = fill(path, mask=hole, model="telea")
    before, after = to_array(filled.source), filled.array
    assert np.array_equal(before[~hole], after[~hole], equal_nan=before.dtype.kind == "f")


def archive(path: Path) -> None:
    for name in zip_names(path):
        read_zip_member(path, name)


def recipe(path: Path) -> None:
    found, source = read_recipe(path)
    build_inputs(found, source)


def ledger(path: Path) -> None:
    parse_ledger(path.read_bytes())


def photo_list(path: Path) -> None:
    dataset = load_plugin("datasets", "files")()
    for name in dataset.names(path):
        dataset.read(path, name)


def onnx(path: Path) -> None:
    foreign = read_model_file(path)
    assert isinstance(foreign, ForeignFiller)
    foreign.make("cpu")


def options(path: Path) -> None:
    """Give the words in the file to commands, and one of them as a photo's name."""
    words = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    run_command("fill", *words)
    name = words[-1].replace("/", "").replace("\0", "")[:60]
    try:
        Image.new("RGB", (8, 8)).save(file := path.with_name(f"x{name}.png"))
    except (OSError, UnicodeError):  # a name that this system does not take
        return
    run_command("infer", path.parent, "--region", "1,1,2,2", "-o", path.with_name("out"))
    file.unlink()


def run_command(*words: object) -> None:
    done = CliRunner().invoke(main, [str(word) for word in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2)
    assert "please report" not in done.output, done.output
    assert "\x1b" not in done.output


def convert(path: Path) -> None:
    convert_checkpoint(path, "lama", path.with_name("converted.safetensors"))


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    monkeypatch.setenv("INPAINT_MAX_PIXELS", "4000000")  # so that thousands take minutes


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> dict[str, tuple[bytes, str, Callable[[Path], object]]]:
    """A sound file of each kind, its suffix, and what reads it."""
    place = tmp_path_factory.mktemp("seeds")
    masks = generate_masks("irregular", place / "masks", count=2, size=32)
    architecture = load_plugin("architectures", "pconv")
    settings = architecture.settings(levels=2, width=2)
    write_weights(place / "w.safetensors", "pconv", settings, architecture.build(settings))
    torch.save({"step": 1, "net": {"weight": torch.ones(3)}}, place / "s.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of it will be around for long
        torch.jit.script(torch.nn.Conv2d(4, 3, 3)).save(str(place / "t.pt"))
    with zipfile.ZipFile(place / "z.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/ä.png", picture("PNG"))
        packed.writestr("b.txt", "x" * 1000)
    Image.new("RGB", (24, 24), "navy").save(place / "sea.png")
    filled = fill(place / "sea.png", mask=np.eye(24, dtype=bool), model="telea")
    card = write_card(filled, filled.save(place / "out.png"), place / "sea.png", None)
    entry = {"name": "a.png", "settings": "x", "photo": None, "mask": None, "notes": ["n"]}
    formats = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp",
               "GIF": ".gif", "TGA": ".tga", "PPM": ".ppm", "JXL": ".jxl"}  # fmt: skip
    return {
        **{name: (picture(name), suffix, photo) for name, suffix in formats.items()},
        "alpha": (picture("PNG", "RGBA"), ".png", photo),
        "mask": (picture("PNG", "L"), ".png", read_mask),
        "weights": ((place / "w.safetensors").read_bytes(), ".safetensors", read_weights),
        "checkpoint": ((place / "s.pt").read_bytes(), ".pt", convert),
        "state": ((place / "s.pt").read_bytes(), ".pt", read_state),
        "program": ((place / "t.pt").read_bytes(), ".pt", read_weights),
        "manifest": (masks.manifest.read_bytes(), ".jsonl", read_manifest),
        "recipe": ((ROOT / "recipes" / "celebahq.yaml").read_bytes(), ".yaml", recipe),
        "ledger": (json.dumps(entry).encode() + b"\n", ".jsonl", ledger),
        "card": (card.read_bytes(), ".json", read_card),
        "archive": ((place / "z.zip").read_bytes(), ".zip", archive),
        "tar": (packed_tar(picture("PNG")), ".tar", photo_list),
        "list": (b"sea.png\na/b.png\n../sea.png\n", ".txt", photo_list),
        "onnx": (write_migan(place / "m.onnx").read_bytes(), ".onnx", onnx),
        "options": (OPTIONS, ".words", options),
    }


OPTIONS = b"""--region\n1,1,4,4\n--grow\n3\n--seed\n-7\n--model\ntelea:radius=3
--find\ncolor:value=#123456,tolerance=5\n--mask-threshold\n12\n--window\n64\n\xc3\xa4.png"""

KINDS = [
    *("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "TGA", "PPM", "JXL", "alpha", "mask", "weights"),
    *("checkpoint", "state", "program", "manifest", "recipe", "ledger", "card", "archive"),
    *("tar", "list", "onnx", "options"),
]


def attack(seed: tuple[bytes, str, Callable[[Path], object]], place: Path, count: int) -> None:
    data, suffix, read = seed
    path = place / f"x{suffix}"
    path.write_bytes(data)
    with suppress(InpaintError):
        read(path)  # imports what it needs, which is not the input's cost
    for n in range(count):
        changed = mutate(data, random.Random(n))
        path.write_bytes(changed)
        start, held = process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read(path)
        except InpaintError:
            pass
        except Exception as error:
            raise AssertionError(f"mutation {n} of {len(data)} bytes: {error!r}") from error
        assert process_time() - start < MOST_SECONDS, f"mutation {n} of {len(data)} bytes"
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
        assert more < MOST_MEMORY, f"mutation {n} of {len(data)} bytes: {more} KiB"


def test_every_kind_is_attacked(seeds):
    assert [*seeds] == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_refused_or_read(kind, seeds, tmp_path):
    attack(seeds[kind], tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutated_files_are_refused_or_read(kind, seeds, tmp_path):
    attack(seeds[kind], tmp_path, MANY // len(KINDS))
