"""The same photos in a folder, archives, shards, tables and a list: the same names, bytes, batches.

What is wrong with any of them is one sentence.
"""

import io
import shutil
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from PIL import Image

import inpaint_cli
from inpaint_cli import registry
from inpaint_cli.api.stages import Stage
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.errors import DataError, InpaintError
from inpaint_cli.files.stores import open_store
from inpaint_cli.filling.provenance import card_path, repeat_card
from inpaint_cli.images import read_photo
from inpaint_cli.recipe.plugins import build_inputs
from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.training.feed import Feed

COUNT = 12


def picture(n):
    rng = np.random.default_rng(n)
    return Image.fromarray(
        np.kron(rng.integers(0, 256, (6, 7, 3), np.uint8), np.ones((8, 8, 1), "u1"))
    )


def encode(image, form="PNG"):
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def pack_tar(path, files):
    with tarfile.open(path, "w") as packed:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Where the same photos are: by the name of each form."""
    root = tmp_path_factory.mktemp("places")
    files = [(f"{n:08d}.png", encode(picture(n))) for n in range(COUNT)]
    (root / "folder").mkdir()
    for name, data in files:
        (root / "folder" / name).write_bytes(data)
    with zipfile.ZipFile(root / "photos.zip", "w") as packed:
        for name, data in reversed(files):
            packed.writestr(name, data)
    pack_tar(root / "photos.tar", reversed(files))
    (root / "shards").mkdir()
    for n in range(3):
        own = [(name, data) for name, data in files[4 * n : 4 * n + 4]]
        extra = [(name.replace(".png", ".json"), b"{}") for name, _ in own]
        pack_tar(root / "shards" / f"shard-{n:03d}.tar", sorted(own + extra))
    (root / "list.txt").write_text("".join(f"folder/{name}\n" for name, _ in files))
    write_tables(root, [data for _, data in files])
    return {path.name: path for path in root.iterdir()}


def write_tables(root, contents):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    cells = [{"bytes": data, "path": None} for data in contents]
    table = pyarrow.table({"label": list(range(COUNT)), "image": cells})
    parquet.write_table(table, root / "photos.parquet")
    (root / "saved").mkdir()
    for n, part in enumerate((table[:5], table[5:])):
        path = root / "saved" / f"data-{n:05d}-of-00002.arrow"
        with (
            pyarrow.OSFile(str(path), "wb") as file,
            pyarrow.ipc.new_stream(file, table.schema) as writer,
        ):
            writer.write_table(part)


FORMS = ["photos.zip", "photos.tar", "shards", "photos.parquet", "saved", "list.txt"]


def batches(root, count=3):
    recipe, source = open_recipe("smoke")
    inputs = build_inputs(recipe, source)
    collection = Collection.at(inputs.train, root)
    stages = {"fill": Stage(batch=4, steps=9)}
    feed = Feed(collection, inputs.masks, recipe, stages, Accelerator(cpu=True))
    stream = feed("fill", 0)
    return [next(stream) for _ in range(count)]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_photos_make_the_same_batches_wherever_they_are(places, form):
    expected = batches(places["folder"])
    for one, other in zip(expected, batches(places[form]), strict=True):
        assert (one.image == other.image).all()
        assert (one.mask == other.mask).all()


@pytest.fixture(scope="module")
def made(places, tmp_path_factory):
    """Draws masks for the photos of a form and fills them: names and bytes, and the folders."""

    @cache
    def make(form):
        root = tmp_path_factory.mktemp("made")
        drawn = inpaint_cli.generate_masks("center", images=places[form], output=root / "masks")
        assert len(drawn.entries) == COUNT
        inpaint_cli.fill_folder(places[form], root / "masks", root / "out", model="telea")
        files = {path.relative_to(root): path.read_bytes() for path in root.rglob("*.png")}
        return files, root

    return make


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_masked_filled_and_measured_like_folders(places, made, form):
    (files, root), (expected, _) = made(form), made("folder")
    assert len(files) == 2 * COUNT
    inside = {"list.txt": "folder"}.get(form, "")  # a list's names are its paths
    assert files == {path.parent / inside / path.name: data for path, data in expected.items()}
    again = inpaint_cli.fill_folder(places[form], root / "masks", root / "out", model="telea")
    assert (again.kept, again.filled) == (COUNT, 0)
    options = {"masks": root / "masks", "features": "none"}
    measured = inpaint_cli.evaluate(root / "out", places[form], **options)
    assert len(measured.samples.names) == COUNT
    assert inpaint_cli.inspect_masks(root / "masks", images=places[form]).problems == []


@pytest.mark.parametrize("form", FORMS)
def test_eval_and_masks_read_them_too(places, form, tmp_path):
    options = {"model": "telea", "features": "none", "size": 32}
    scores = [
        inpaint_cli.evaluate(data=place, recipe="smoke", **options).to_dict()["table"]
        for place in (places["folder"], places[form])
    ]
    assert scores[0] == scores[1]
    shapes = registry.load_plugin("masks", "files")
    rng = [np.random.default_rng(3) for _ in range(2)]
    own = [shapes(path=places[name], threshold=128) for name in ("folder", form)]
    drawn = [kind.draw(16, 16, r) for kind, r in zip(own, rng, strict=True)]
    assert (drawn[0] == drawn[1]).all()


def test_label_maps_are_beside_their_photos_in_shards(tmp_path):
    files = [(f"{n}.jpg", encode(picture(n), "JPEG")) for n in range(4)]
    maps = [(f"{n}.seg.png", encode(Image.new("L", (56, 48), n))) for n in range(3)]
    (tmp_path / "shards").mkdir()
    pack_tar(tmp_path / "shards" / "0.tar", files + maps)
    kind = registry.load_plugin("datasets", "files")
    named = kind(labels="{}.seg.png")
    assert named.names(tmp_path / "shards") == [name for name, _ in files]
    assert named.has_label_map(tmp_path / "shards", "2.jpg")
    assert not named.has_label_map(tmp_path / "shards", "3.jpg")
    with pytest.raises(DataError, match=r"two images of one key.*labels='\{\}\.seg\.png'"):
        kind().names(tmp_path / "shards")


def test_categories_are_subfolders_each_with_its_own_validation(tmp_path):
    for folder in ("data/a/airfield", "data/s/stage/indoor", "data/s/stage/outdoor"):
        (tmp_path / folder).mkdir(parents=True)
        for n in range(3):
            picture(n).save(tmp_path / folder / f"{n}.png")
    kind = registry.load_plugin("datasets", "files")
    chosen = kind(categories=("airfield", "stage/indoor"), hold=1, split="val")
    assert chosen.names(tmp_path) == ["data/a/airfield/2.png", "data/s/stage/indoor/2.png"]
    assert len(kind(categories=("stage",)).names(tmp_path)) == 6
    with pytest.raises(DataError, match="no images in a folder beach; its folders: data/a/airf"):
        kind(categories=("beach",)).names(tmp_path)


def samples(root, form):
    """Photos and masks of the same samples in one place, the masks left half of each."""
    hole = np.zeros((48, 56), np.uint8)
    hole[:, :28] = 255
    photos = [encode(picture(n)) for n in range(4)]
    masks = [encode(Image.fromarray(hole)) for _ in range(4)]
    if form == "tables":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        columns = {
            name: [{"bytes": data, "path": None} for data in each]
            for name, each in (("image", photos), ("mask", masks))
        }
        root.mkdir()
        for n in range(2):
            part = pyarrow.table(columns)[2 * n : 2 * n + 2]
            parquet.write_table(part, root / f"train-0000{n}-of-00002.parquet")
    else:
        root.mkdir()
        files = [(f"{n:08d}{end}", data) for end, each in ((".png", photos), (".mask.png", masks))
                 for n, data in enumerate(each)]  # fmt: skip
        pack_tar(root / "0.tar", files)
    return root


@pytest.mark.parametrize("form", ["shards", "tables"])
def test_masks_of_samples_are_beside_their_photos(form, tmp_path):
    root = samples(tmp_path / form, form)
    report = inpaint_cli.fill_folder(root, root, tmp_path / "out", model="telea", card=True)
    assert report.filled == 4
    assert not report.failed
    names = [f"{n:08d}.png" for n in range(4)]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == names
    for n, name in enumerate(names):
        truth, filled = np.asarray(picture(n)), np.asarray(Image.open(tmp_path / "out" / name))
        assert (filled[:, 28:] == truth[:, 28:]).all()
        assert (filled[:, :28] != truth[:, :28]).any()
    again = repeat_card(card_path(tmp_path / "out" / names[3]), output=tmp_path / "again.png")
    assert again.read_bytes() == (tmp_path / "out" / names[3]).read_bytes()
    assert registry.load_plugin("datasets", "files")().names(root) == names
    drawn = registry.load_plugin("masks", "files")(path=root, flip=False)
    assert drawn.draw(48, 56, np.random.default_rng(0)).mean() == 0.5
    result = inpaint_cli.evaluate(model="telea", data=root, masks=root, features="none")
    assert len(result.samples.names) == 4
    assert inpaint_cli.inspect_masks(root).bins == [0, 0, 0, 0, 4, 0, 0, 0, 0, 0]


def test_results_of_a_list_stay_in_their_folder(tmp_path):
    for name in ("data/a/cat.png", "data/b/cat.png", "lists/.kept/dog.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(len(name)).save(tmp_path / name)
    photos = tmp_path / "lists" / "photos.txt"
    photos.write_text(f"../data/a/cat.png\n{tmp_path}/data/b/cat.png\n.kept/dog.png\n")
    whole = {"regions": [(4, 4, 8, 8)], "model": "telea"}
    report = inpaint_cli.fill_folder(photos, None, tmp_path / "out", **whole)
    assert report.filled == 3
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("out/**/*.png")
    )
    assert found == ["data/a/cat.png", "data/b/cat.png", "lists/.kept/dog.png"]
    with pytest.raises(DataError, match="would overwrite an input"):
        inpaint_cli.fill_folder(photos, None, tmp_path, **whole)
    photos.write_text(".kept/dog.png\n./.kept/dog.png\n")
    refused(photos, r"names \./\.kept/dog\.png twice")
    photos.write_text(".kept/dog.png\n.kept/gone.png\nold.psd\n")
    report = inpaint_cli.fill_folder(photos, None, tmp_path / "some", **whole)
    assert report.filled == 1
    assert "gone.png cannot be read: No such file" in report.failed[".kept/gone.png"]
    assert "export it as PNG" in report.failed["old.psd"]


@pytest.mark.parametrize("name", ["/abs.png", "../up.png", "a/../../up.png"])
@pytest.mark.parametrize("form", ["zip", "tar", "shards"])
def test_names_that_lead_out_of_an_archive_are_refused(form, name, tmp_path):
    path = tmp_path / ("0.tar" if form == "shards" else f"photos.{form}")
    if form == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(name, encode(picture(0)))
    else:
        pack_tar(path, [(name, encode(picture(0)))])
    root = tmp_path if form == "shards" else path
    with pytest.raises(DataError, match=r"which leads out of it; pack it again"):
        inpaint_cli.fill_folder(root, None, tmp_path / "out", regions=[(1, 1, 2, 2)], model="telea")
    refused(root, "leads out")


def test_a_packed_photo_may_be_called_as_the_one_mask(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        packed.writestr("mask.png", encode(picture(0)))
    Image.new("L", (56, 48), 255).crop((-9, 0, 47, 48)).save(tmp_path / "mask.png")
    photos, mask = tmp_path / "photos.zip", tmp_path / "mask.png"
    assert inpaint_cli.fill_folder(photos, mask, tmp_path / "out", model="telea").filled == 1


def test_cells_that_are_not_there_are_refused(places):
    for name in ("00000099.png", "x.png", "00000001.mask.png"):
        with pytest.raises(DataError, match=rf"holds no {name}"):
            read_photo(places["photos.parquet"] / name)


def read_all(root):
    store = open_store(root)
    return [store.read(name) for name in store.names()]


def refused(root, match):
    with pytest.raises(InpaintError, match=match) as caught:
        read_all(root)
    assert "\n" not in str(caught.value)


def test_what_is_broken_says_so(places, tmp_path):
    whole = places["photos.tar"].read_bytes()
    for cut in (len(whole) // 2, 512, 3000, 700):
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        refused(tmp_path / "cut.tar", r"cut\.tar is (damaged or cut off|not a plain tar)")
    changed = bytearray(whole)
    changed[whole.index(b"00000003.png") + 2] ^= 1  # a header of the middle
    (tmp_path / "changed.tar").write_bytes(changed)
    refused(tmp_path / "changed.tar", "damaged or cut off after")
    (tmp_path / "text.tar").write_text("no tar")
    refused(tmp_path / "text.tar", "not a plain tar")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as packed:
        packed.add(places["list.txt"], "list.txt")
    refused(tmp_path / "packed.tar.gz", "compressed tar, .*unpack it")
    shutil.copy(tmp_path / "packed.tar.gz", tmp_path / "renamed.tar")
    refused(tmp_path / "renamed.tar", "compressed: unpack it")
    pack_tar(tmp_path / "twice.tar", [("a.png", b"1"), ("a.png", b"2")])
    refused(tmp_path / "twice.tar", r"holds a\.png twice")
    (tmp_path / "shards").mkdir()
    for n in range(2):
        pack_tar(tmp_path / "shards" / f"{n}.tar", [("a.png", b"1")])
    refused(tmp_path / "shards", r"a\.png is in .*0\.tar and in .*1\.tar; keys")
    (tmp_path / "splits" / "train").mkdir(parents=True)
    (tmp_path / "splits" / "dataset_dict.json").write_text("{}")
    (tmp_path / "splits" / "train" / "dataset_info.json").write_text("{}")
    refused(tmp_path / "splits", r"several splits \(train\); give the folder of one")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for split in ("train", "test"):
        (mixed / f"{split}-00000-of-00001.parquet").touch()
    refused(mixed, r"files of several splits \(test, train\); put those of one into a folder")
    refused(tmp_path / "nowhere", "neither a folder nor a")


def test_broken_tables_say_so(places, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for name in ("photos.parquet", "saved/data-00000-of-00002.arrow"):
        data = (places["folder"].parent / name).read_bytes()
        path = tmp_path / Path(name).name
        path.write_bytes(data[: len(data) // 2])
        refused(path, "not a whole table|Expected")
    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "words.parquet")
    refused(tmp_path / "words.parquet", "no row with a picture; .* here are: text")
    cells = [{"bytes": None, "path": "gone.png"}]
    parquet.write_table(pyarrow.table({"image": cells}), tmp_path / "paths.parquet")
    refused(tmp_path / "paths.parquet", r"row 0 of .*, column image: gone\.png cannot be read")
    two = [{"bytes": b"1", "path": None}]
    parquet.write_table(pyarrow.table({"before": two, "after": two}), tmp_path / "two.parquet")
    refused(tmp_path / "two.parquet", r"several columns of pictures \(before, after\)")
