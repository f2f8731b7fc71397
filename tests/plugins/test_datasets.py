"""Published data sets: no image twice, named splits, label maps as they are distributed."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaint_cli import registry
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.errors import DataError
from inpaint_plugins.datasets import celebamask, published

HQ = [f"CelebA-HQ-img/{n}.jpg" for n in range(30_000)]


@pytest.fixture
def listed(monkeypatch):
    """Let a data set find these names, in this order."""

    def offer(names):
        monkeypatch.setattr("inpaint_plugins.datasets.files.list_files", lambda root: [*names])
        monkeypatch.setattr("inpaint_plugins.datasets.published.list_files", lambda root: [*names])

    return offer


def build(name, **settings):
    return registry.load_plugin("datasets", name).model_validate(settings)


@pytest.mark.parametrize(
    ("name", "names", "other"),
    [
        ("celebahq", ["CelebA-HQ-img/28000.jpg"], "labels/28000.png"),
        ("ffhq", ["07000/07007.png"], "thumbnails128x128/07007.png"),
        ("celeba", ["img_align_celeba/162771.jpg"], "img_celeba/162771.jpg"),
        ("paris-streetview", ["paris_eval_gt/007_im.png"], "val/007_im.jpg"),
        ("places2", ["val_256/Places365_val_00000002.jpg"], "large/Places365_val_00000002.jpg"),
    ],
)
def test_an_image_that_is_there_twice_is_refused_with_both_paths(listed, name, names, other):
    for folder in ("0", "z"):  # whichever comes first
        listed([*names, f"{folder}/{other}"])
        with pytest.raises(DataError, match="twice: ") as told:
            build(name, split="val").names(Path("x"))
        assert names[0] in str(told.value)
        assert f"{folder}/{other}" in str(told.value)


def test_scenes_of_two_categories_may_share_a_number(listed):
    listed(["a/airfield/1.jpg", "b/bar/1.jpg", "s/stage/indoor/1.jpg", "s/stage/outdoor/1.jpg"])
    with pytest.raises(DataError, match="has 4 images"):
        build("places2").names(Path("x"))
    listed(["256/a/airfield/1.jpg", "large/a/airfield/1.png"])
    with pytest.raises(DataError, match=r"image a/airfield/1 .* twice"):
        build("places2").names(Path("x"))


def test_label_maps_with_a_pattern_are_no_images(listed):
    listed([*HQ, *(f"labels/{n}.png" for n in range(30_000))])
    for split, count in (("train", 28_000), ("val", 2_000)):
        names = build("celebahq", split=split, labels="../labels/{}.png").names(Path("x"))
        assert len(names) == count
        assert all(name.endswith(".jpg") for name in names)


@pytest.mark.parametrize(
    ("name", "partition", "train", "val"),
    [
        ("celebahq", "numbers", 28_000, 2_000),
        ("celebahq", "random", 27_000, 3_000),
        ("ffhq", "last-2000", 68_000, 2_000),
        ("ffhq", "official", 60_000, 10_000),
    ],
)
def test_named_partitions(listed, name, partition, train, val):
    listed(HQ if name == "celebahq" else [f"{n:05}.png" for n in range(70_000)])
    one, other = (
        set(build(name, partition=partition, split=split).names(Path("x")))
        for split in ("train", "val")
    )
    assert (len(one), len(other)) == (train, val)
    assert not one & other


def test_a_random_partition_never_changes(listed):
    listed(HQ)
    names = build("celebahq", partition="random", split="val").names(Path("x"))
    assert [Path(n).stem for n in names[:3]] == ["9", "39", "49"]


def test_the_partition_of_celeba_is_read_from_the_list_beside_the_images(tmp_path):
    numbers = [1 + 6 * n for n in range(30_000)]  # in CelebA
    lines = ["idx orig_idx orig_file", *(f"{n} {k - 1} {k:06}.jpg" for n, k in enumerate(numbers))]
    archive = tmp_path / "hq.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in HQ:
            file.writestr(name, b"")
        file.writestr("CelebA-HQ-to-CelebA-mapping.txt", "\n".join(lines))
    val = build("celebahq", partition="celeba", split="val").names(archive)
    assert val == [name for name, k in zip(HQ, numbers, strict=True) if 182_638 <= k < 202_600]
    (tmp_path / "hq").mkdir()
    with pytest.raises(DataError, match=r"has no CelebA-HQ-to-CelebA-mapping\.txt; put it there"):
        published.celeba_numbers(tmp_path / "hq")


def test_categories_of_places2_are_held_out_one_by_one(listed):
    names = [f"data_256/{c}/{n:08}.jpg" for c in ("a/alley", "b/bar", "b/beach_bar")
             for n in range(20)]  # fmt: skip
    listed([*names, "val/Places365_val_00000001.jpg"])
    chosen = {"categories": ["alley", "/b/bar"], "hold": 5}
    train, val = (build("places2", split=s, **chosen).names(Path("x")) for s in ("train", "val"))
    assert len(train) == 30
    assert [Path(n).parts[2] for n in val] == 5 * ["alley"] + 5 * ["bar"]
    assert {*train, *val} == {n for n in names if "beach" not in n}
    with pytest.raises(DataError, match="0 images of the category alleys"):
        build("places2", categories=["alleys"]).names(Path("x"))


def png(hole):
    file = io.BytesIO()
    Image.fromarray(np.where(hole[..., None], np.uint8(255), np.uint8(0)).repeat(3, 2)).save(
        file, "PNG"
    )
    return file.getvalue()


def test_official_label_maps_are_merged(tmp_path):
    """Of one file a class; a class that comes later lies on top."""
    holes = {"skin": np.ones((4, 6), bool), "l_eye": np.eye(4, 6, dtype=bool)}
    anno, faces = tmp_path / "CelebAMask-HQ-mask-anno/14", tmp_path / "CelebA-HQ-img"
    anno.mkdir(parents=True)
    faces.mkdir()
    for name, hole in holes.items():
        (anno / f"28000_{name}.png").write_bytes(png(hole))
    for n in (28_000, 28_001):
        Image.new("RGB", (12, 8)).save(faces / f"{n}.jpg")
    images = build("celebahq", split="val")
    names = [f"CelebA-HQ-img/{n}.jpg" for n in (28_000, 28_001)]
    found = Collection(images, tmp_path, names).labelled([str(n) for n in range(19)])
    assert found.names == names[:1]
    labels = found.labels(0, (4, 6))[0].numpy()
    np.testing.assert_array_equal(labels, np.where(holes["l_eye"], 4, 1))
    assert found.labels(0, found.shape(0)).shape == (1, 8, 12)
    (anno / "28000_hair.png").write_bytes(png(np.ones((3, 6), bool)))
    celebamask.find_label_parts.cache_clear()
    with pytest.raises(DataError, match=r"hair\.png has another size"):
        images.label_map(tmp_path, names[0])


def test_the_classes_of_official_label_maps_are_those_of_the_parser():
    regions = pytest.importorskip("inpaint_plugins.mdrnets.regions")
    words = {"l": "left", "r": "right", "u": "upper", "eye_g": "glasses", "ear_r": "earring",
             "neck_l": "necklace", "l_lip": "lower lip"}  # fmt: skip
    for part, name in zip(celebamask.PARTS, regions.CLASS_ORDERS["celebamask-hq"][1:], strict=True):
        side, _, rest = part.partition("_")
        assert name == words.get(part, f"{words.get(side, side)} {rest}".strip())
