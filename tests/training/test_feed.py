"""Samples are a function of the seed, the stage and their number; files are read as they lie."""

import io
import zipfile
from collections import Counter
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from places import SHARED
from toy import RECIPE, photos

from inpaint_cli import registry
from inpaint_cli.api.architectures import Sizes
from inpaint_cli.api.datasets import Dataset
from inpaint_cli.api.stages import Stage
from inpaint_cli.datasets.collection import Collection, decode_image, place_image
from inpaint_cli.errors import DataError
from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.recipe.schema import Data
from inpaint_cli.training.feed import (
    Feed,
    FeedOrder,
    FeedSample,
    TrainingSamples,
    aspect_buckets,
    draw_shape,
    find_unreadable,
    mirror_labels,
    nearest_bucket,
    validation_batches,
)

FILES = registry.load_plugin("datasets", "files")
BOXES = registry.load_plugin("masks", "boxes")()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE)
    return read_recipe(path)[0]


class Rank:
    """One of several processes, as the feed sees them."""

    def __init__(self, index=0, world=1):
        self.process_index, self.num_processes = index, world
        self.device = torch.device("cpu")


def feed(folder, plan, *, batch=4, workers=0, rank=0, world=1, **changes):
    data = plan.data.model_copy(update={k: v for k, v in changes.items() if k != "accumulate"})
    plan = plan.model_copy(update={"data": data, "accumulate": changes.get("accumulate", 1)})
    stages = {"one": Stage(batch=batch), "two": Stage(batch=batch)}
    accelerator: Accelerator = Rank(rank, world)  # type: ignore[assignment]
    collection = Collection.at(FILES(), folder)
    return Feed(collection, BOXES, plan, stages, accelerator, workers)


def take(stream, count):
    return [(b.image, b.mask) for b in islice(stream, count)]


def equal(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(one, other, strict=True)
    )


def test_neighbours_share_a_mask_as_far_as_they_are_asked_to(folder, plan):
    (_, alone), (_, shared) = (
        take(feed(folder, plan, batch=8, per_mask=n)("one", 0), 1)[0] for n in (1, 4)
    )
    assert torch.equal(shared[:4], shared[:1].expand(4, -1, -1, -1))
    assert torch.equal(shared[4:], shared[4:5].expand(4, -1, -1, -1))
    assert not torch.equal(shared[0], shared[4])
    assert not torch.equal(alone[0], alone[1])


def test_batches_start_anywhere_with_or_without_workers(folder, plan):
    whole = take(feed(folder, plan)("one", 0), 7)  # over two epochs of 12
    for workers in (0, 2):
        assert equal(take(feed(folder, plan, workers=workers)("one", 3), 4), whole[3:])
    assert not equal(take(feed(folder, plan)("two", 0), 7), whole)
    image, mask = whole[0]
    assert image.shape == (4, 3, 32, 32)
    assert mask.shape == (4, 1, 32, 32)
    assert image.dtype == mask.dtype == torch.float32
    assert 0 <= image.min() < 0.3 < 0.7 < image.max() <= 1
    assert set(mask.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("key", [False, True])
def test_what_a_photo_hides_is_hole_and_its_colours_are_not_learned_from(tmp_path, plan, key):
    batches = []
    for colour in ((255, 0, 255), (1, 2, 3)):
        pixels = np.full((32, 32, 4), 255, np.uint8)
        pixels[..., :3] = np.indices((32, 32)).sum(0)[..., None] * 4
        pixels[8:20, 24:] = (*colour, 0)
        rgb, how = Image.fromarray(pixels[..., :3]), {"transparency": colour} if key else {}
        (rgb if key else Image.fromarray(pixels)).save(tmp_path / "a.png", **how)
        held = next(validation_batches(Collection.at(FILES(), tmp_path), BOXES, plan, 1))[1]
        batches += [*take(feed(tmp_path, plan, flip=False)("one", 0), 1), (held.image, held.mask)]
    assert equal(batches[:2], batches[2:])
    for image, mask in batches:
        assert mask[..., 8:20, 24:].all()
        assert image[..., 8:20, 24:].std(1).max() == 0  # gray, as what is visible


@pytest.mark.parametrize(("world", "parts"), [(2, 1), (1, 2), (2, 2)])
def test_processes_and_parts_share_out_the_same_samples(folder, plan, world, parts):
    whole = take(feed(folder, plan)("one", 1), 2)
    streams = [
        feed(folder, plan, rank=r, world=world, accumulate=parts)("one", 1) for r in range(world)
    ]
    for image, mask in whole:
        pieces = [next(stream) for _ in range(parts) for stream in streams]
        assert torch.equal(torch.cat([p.image for p in pieces]), image)
        assert torch.equal(torch.cat([p.mask for p in pieces]), mask)


def test_a_batch_that_cannot_be_shared_is_refused(folder, plan):
    with pytest.raises(DataError, match="a batch of 4 cannot be divided among 3 processes"):
        feed(folder, plan, world=3)


@given(st.integers(1, 40), st.integers(0, 200), st.integers(0, 5))
def test_an_epoch_has_every_image_once(count, start, seed):
    order = FeedOrder(count, (seed,))
    first = start // count * count
    assert sorted(order[first + n] for n in range(count)) == list(range(count))
    assert [order[start + n] for n in range(5)] == [
        FeedOrder(count, (seed,))[start + n] for n in range(5)
    ]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([(1, 2), (2, 1), (1, 1)]), min_size=1, max_size=30), st.integers(1, 6)
)
def test_batches_of_varied_shapes_have_one_shape_each(shapes, batch):
    order = FeedOrder(len(shapes), (0,), shapes, batch)
    epoch = [order[n] for n in range(len(order.epoch(0)))]
    assert set(epoch) == set(range(len(shapes)))
    assert max(Counter(epoch).values()) <= batch
    for start in range(0, len(epoch), batch):
        assert len({shapes[i] for i in epoch[start : start + batch]}) == 1


@given(st.integers(8, 512))
def test_buckets_keep_the_area(size):
    step = max(size // 8, 1)
    assert (size // step * step,) * 2 in aspect_buckets(size) or size % step
    for height, width in aspect_buckets(size):
        assert height % step == width % step == 0
        assert 0.7 * size * size <= height * width <= size * size
    assert nearest_bucket((300, 100), size)[0] > nearest_bucket((300, 100), size)[1]


def test_varied_shapes_are_trained_on(folder, plan):
    stream = feed(folder, plan, batch=2, fit="buckets", size=32)("one", 0)
    shapes = {tuple(image.shape[-2:]) for image, _ in take(stream, 12)}
    assert shapes == {nearest_bucket(s, 32) for s in ((40, 48), (48, 36), (32, 32))}
    assert len(shapes) == 3


@pytest.mark.parametrize("fit", ["cover", "buckets", "margins"])
def test_only_sizes_that_the_network_takes_are_drawn(folder, plan, fit):
    batches = feed(folder, plan, batch=2, fit=fit, size=30)
    batches.sizes = Sizes(multiple=8)
    for image, mask in take(batches("one", 0), 6):
        assert image.shape[-2:] == mask.shape[-2:]
        assert not any(side % 8 for side in image.shape[-2:])


def picture(height, width):
    ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3)
    return torch.from_numpy(ramp.round().astype(np.uint8)).permute(2, 0, 1)


def test_images_are_placed_as_asked():
    image = picture(40, 60)
    assert torch.equal(place_image(image, (40, 40), "cover", at=(0, 0)), image[:, :, :40])
    assert torch.equal(place_image(image, (40, 40), "cover", at=(1, 1)), image[:, :, 20:])
    assert torch.equal(place_image(image, (40, 40), "cover"), image[:, :, 10:50])
    assert torch.equal(place_image(image, (8, 8), "native", at=(0, 1)), image[:, :8, 52:])
    assert torch.equal(place_image(image, (40, 60), "cover", flip=True), image.flip(2))
    assert place_image(image, (64, 64), "native").shape == (3, 64, 64)
    assert place_image(image, (30, 20), "stretch").shape == (3, 30, 20)
    zoomed = place_image(image, (20, 20), "cover", zoom=2.0)  # 40x60 stays, its middle is cut out
    assert torch.equal(zoomed, image[:, 10:30, 20:40])
    small = place_image(image, (60, 60), "cover", zoom=2 / 3, at=(0.25, 1.0))  # 40x60 as it is
    assert torch.equal(small[:, 5:45], image)
    assert torch.equal(small[:, :5], image[:, 1:6].flip(1))
    assert torch.equal(small[:, 45:], image[:, 24:39].flip(1))


def test_scaling_is_pillows():
    image = picture(90, 120)
    ours = place_image(image, (31, 41), "stretch").permute(1, 2, 0).numpy().astype(int)
    theirs = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
        (41, 31), Image.Resampling.BILINEAR
    )
    assert np.abs(ours - np.asarray(theirs).astype(int)).max() <= 1


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_decoding_is_pillows_upright_and_in_colour():
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).resize((37, 53))
    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    for data, expected in [
        (encoded(rough, "JPEG"), None),
        (encoded(rough.convert("L"), "JPEG"), None),
        (encoded(rough, "PNG"), rough),
        (encoded(rough, "JPEG", exif=exif), "turned"),
    ]:
        truth = Image.open(io.BytesIO(data)).convert("RGB")
        if expected == "turned":
            truth = truth.transpose(Image.Transpose.ROTATE_270)
        ours = decode_image(data, "x").permute(1, 2, 0).numpy()
        assert np.array_equal(ours, np.asarray(truth))


def test_a_large_jpeg_may_be_decoded_at_a_part_of_its_size(tmp_path, plan):
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)).resize((288, 256))
    data = encoded(rough, "JPEG")
    for enough, height in ((257, 256), (128, 128), (65, 128), (64, 64), (32, 32), (1, 32)):
        assert decode_image(data, "x", enough=enough).shape[1] == height
    assert decode_image(encoded(rough, "PNG"), "x", enough=1).shape[1] == 256
    whole = place_image(decode_image(data, "x"), (40, 45), "stretch").int()
    part = place_image(decode_image(data, "x", enough=60), (40, 45), "stretch").int()
    assert (whole - part).abs().float().mean() < 2
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.jpg").write_bytes(data)
    fast, exact = (
        take(feed(tmp_path / "photos", plan, decode=how)("one", 0), 1) for how in ("fast", "exact")
    )
    assert 0 < (fast[0][0] - exact[0][0]).abs().mean() < 2 / 255


def test_files_are_read_from_folders_archives_and_lists(folder, tmp_path):
    (folder / "deep").mkdir(exist_ok=True)
    (folder / ".hidden.jpg").write_bytes(b"")
    archive, lines = tmp_path / "a.zip", tmp_path / "l.txt"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.glob("[0-9]*"):
            file.write(path, f"some/{path.name}")
        file.writestr("__MACOSX/some/0.jpg", b"")
    lines.write_text("\n".join(str(path) for path in folder.glob("[0-9]*")) + "\n\n")
    files = FILES()
    names = files.names(folder)
    assert [Path(n).stem for n in names] == [str(n) for n in range(12)]  # 10 after 9
    for root in (archive, lines):
        others = files.names(root)
        assert [Path(n).name for n in others] == names
        for name, other in zip(names, others, strict=True):
            assert files.read(folder, name) == files.read(root, other)
    assert FILES(split="train", hold=5).names(folder) == names[:7]
    assert FILES(split="val", hold=5).names(folder) == names[7:]
    assert FILES(split="val", hold=50).names(folder) == names


def test_what_holds_no_images_is_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK no")
    (tmp_path / "x.csv").write_text("")
    (tmp_path / "empty").mkdir()
    for name, told in [
        ("x.zip", "not a whole zip"),
        ("x.csv", "neither a folder"),
        ("empty", "no image files in"),
        ("nowhere", "neither a folder"),
    ]:
        with pytest.raises(DataError, match=told):
            FILES().names(tmp_path / name)


PUBLISHED = {
    "celebahq": (
        [f"CelebA-HQ-img/{n}.jpg" for n in range(30_000)],
        ["CelebA-HQ-img/27999.jpg", 28_000, "CelebA-HQ-img/28000.jpg", 2_000],
    ),
    "ffhq": (
        [f"{n // 1000 * 1000:05}/{n:05}.png" for n in range(70_000)],
        ["67000/67999.png", 68_000, "68000/68000.png", 2_000],
    ),
    "paris-streetview": (
        [f"paris_train_original/{n:05}_im.JPG" for n in range(14_900)]
        + [f"paris_eval/paris_eval_gt/{n:03}_im.png" for n in range(1, 101)]
        + [f"paris_eval/paris_eval_corrupted/{n:03}_im.png" for n in range(1, 101)],
        ["paris_train_original/14899_im.JPG", 14_900, "paris_eval/paris_eval_gt/001_im.png", 100],
    ),
    "celeba": (
        [f"img_align_celeba/{n:06}.jpg" for n in range(1, 202_600)],
        ["img_align_celeba/162770.jpg", 162_770, "img_align_celeba/162771.jpg", 19_867],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_splits(name, monkeypatch):
    names, (last, train, first, val) = PUBLISHED[name]
    monkeypatch.setattr("inpaint_plugins.datasets.files.list_files", lambda root: names)
    schema: type[Dataset] = registry.load_plugin("datasets", name)
    found = schema.model_validate({"split": "train"}).names(Path("x"))
    assert (found[-1], len(found)) == (last, train)
    found = schema.model_validate({"split": "val"}).names(Path("x"))
    assert (found[0], len(found)) == (first, val)
    if name == "celeba":
        assert len(schema.model_validate({"split": "test"}).names(Path("x"))) == 19_962
    monkeypatch.setattr("inpaint_plugins.datasets.files.list_files", lambda root: names[5:])
    with pytest.raises(DataError, match=r"images of .* but the data set has .*; complete it"):
        schema().names(Path("x"))


def test_places2_leaves_the_test_images_out(monkeypatch):
    names = ["train/a/1.jpg", "val/Places365_val_00000001.jpg", "test/Places365_test_00000001.jpg"]
    schema = registry.load_plugin("datasets", "places2")
    monkeypatch.setattr("inpaint_plugins.datasets.files.list_files", lambda root: names)
    counted = []
    monkeypatch.setattr(
        schema, "check_count", lambda self, root, n, count: counted.append((n, count)) or n
    )
    assert schema(split="train").names(Path("x")) == names[:1]
    assert schema(split="val").names(Path("x")) == names[1:2]
    assert [count for _, count in counted] == [1_803_460, 36_500]


def test_bad_images_are_listed_and_stop_a_training(folder, plan, tmp_path):
    broken = photos(tmp_path / "b", count=6)
    data = (broken / "0.jpg").read_bytes()
    (broken / "1.jpg").write_bytes(data[: len(data) // 2])
    (broken / "2.jpg").write_bytes(b"not a picture")
    for workers in (0, 2):
        told = dict(find_unreadable(Collection.at(FILES(), broken), workers))
        assert [name for name, wrong in told.items() if wrong] == ["1.jpg", "2.jpg"]
        assert "2.jpg is not a picture" in (told["2.jpg"] or "")
        with pytest.raises(DataError, match=r"^[12]\.jpg .*\(--check-data lists all bad images\)$"):
            take(feed(broken, plan, workers=workers)("one", 0), 2)


def test_masks_that_are_gone_stop_a_training_without_a_word_on_images(folder, plan):
    nowhere = registry.load_plugin("masks", "files")(path="nowhere")
    told = TrainingSamples(Collection.at(FILES(), folder), nowhere, plan.data, (0,))[
        FeedSample(0, 0, (8, 8))
    ]
    assert told == "nowhere does not exist; give a folder or archive of masks"


def test_validation_samples_never_change(folder, plan):
    collection = Collection.at(FILES(), folder)
    whole = list(validation_batches(collection, BOXES, plan, 5))
    shares = [
        list(validation_batches(collection, BOXES, plan, 5, rank=r, world=2)) for r in range(2)
    ]
    assert [n for n, _ in whole] == [0, 1, 2, 3, 4]
    for n, batch in (*shares[0], *shares[1]):
        assert torch.equal(batch.image, whole[n][1].image)
        assert torch.equal(batch.mask, whole[n][1].mask)
    assert len(list(validation_batches(collection, BOXES, plan, 0))) == 12


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_a_real_archive_is_read_by_workers(plan):
    stream = feed(SHARED / "faces-train.zip", plan, workers=2)("one", 0)
    assert equal(take(stream, 3), take(feed(SHARED / "faces-train.zip", plan)("one", 0), 3))


def test_label_maps_go_the_way_of_their_images(tmp_path, plan):
    """Scaled, cropped and flipped alike; images without one are left out of a labelled stage."""
    numbers = np.random.default_rng(0).integers(0, 5, (6, 12, 16)).astype(np.uint8)
    for n, values in enumerate(numbers):
        rgb = Image.fromarray(np.stack([values * 50] * 3, 2)).resize((32, 24), Image.Resampling.BOX)
        rgb.save(tmp_path / f"{n}.bmp")
        if n:
            Image.fromarray(values).save(tmp_path / f"{n}.png")
    collection = Collection.at(FILES(labels="{}.png"), tmp_path)
    assert collection.names == [f"{n}.bmp" for n in range(6)]
    assert collection.labelled().names == collection.names[1:]
    stages = {"parse": Stage(batch=5, labelled=True, steps=1), "fill": Stage(batch=6)}
    data = plan.data.model_copy(update={"size": 24})
    seen = Feed(collection, BOXES, plan.model_copy(update={"data": data}), stages, Rank())  # type: ignore[arg-type]
    batch = next(seen("parse", 0))
    assert batch.labels is not None
    assert batch.labels.shape == (5, 24, 24)
    assert torch.equal((batch.image * 255 / 50).round().long()[:, 0], batch.labels)
    assert next(seen("fill", 0)).labels is None
    with pytest.raises(DataError, match="has no label maps"):
        Collection.at(FILES(), tmp_path).labelled()
    Image.new("RGB", (16, 12)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"label map of 1\.bmp has mode RGB"):
        collection.labels(1, (24, 32))


@given(st.integers(0, 10**6))
def test_drawn_shapes_keep_the_area_and_the_papers_proportions(n):
    height, width = draw_shape(Data(size=512, fit="margins"), (0, n))
    assert abs(height * width / 512**2 - 1) < 0.005  # IN2's specification, item 15
    assert 0.745 < height / width < 1.785


@pytest.mark.parametrize(("aspect", "shape"), [(16 / 9, (683, 384)), (4 / 3, (591, 443))])
def test_drawn_shapes_are_the_papers_test_sizes(aspect, shape):
    data = Data(size=512, fit="margins", aspects=(aspect, aspect), square=0)
    assert draw_shape(data, (0,)) == shape
    assert draw_shape(data.model_copy(update={"square": 1}), (0,)) == (512, 512)


@pytest.mark.parametrize("world", [1, 2])
def test_margins_are_cut_alike_within_a_step_whoever_computes_it(folder, plan, world):
    made = {"fit": "margins", "size": 48, "square": 0.3}
    whole = take(feed(folder, plan, **made)("one", 0), 12)
    shapes = [image.shape[-2:] for image, _ in whole]
    assert len(set(shapes)) > 6
    assert equal(take(feed(folder, plan, workers=2, **made)("one", 5), 7), whole[5:])
    streams = [feed(folder, plan, rank=r, world=world, **made)("one", 0) for r in range(world)]
    for image, mask in whole:
        pieces = [next(stream) for stream in streams]
        assert torch.equal(torch.cat([p.image for p in pieces]), image)
        assert torch.equal(torch.cat([p.mask for p in pieces]), mask)


def test_margins_leave_the_middle_in(folder, plan, monkeypatch):
    """A crop leaves a quarter or more of what is cut on either side, as the paper's faces need."""
    places = []
    monkeypatch.setattr(
        "inpaint_cli.training.feed.place_image",
        lambda image, *, at, **_: places.extend(at) or image[..., :32, :32],
    )
    made = feed(folder, plan, fit="margins", size=32)
    pictures = TrainingSamples(made.collection, BOXES, made.recipe.data, (0, 0))
    for n in range(30):
        pictures[FeedSample(n, 0, (32, 32))]
    assert 0.25 <= min(places) < 0.3 < 0.7 < max(places) <= 0.75


def test_validation_shapes_vary_but_never_change(folder, plan):
    plan = plan.model_copy(update={"data": Data(size=48, fit="margins", square=0)})
    collection = Collection.at(FILES(), folder)
    first, again = (
        [b.image for _, b in validation_batches(collection, BOXES, plan, 6)] for _ in range(2)
    )
    assert len({image.shape for image in first}) > 3
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8, 9])
def test_the_shape_of_an_image_is_that_of_what_is_decoded(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (80, 40)).save(tmp_path / "a.jpg", exif=exif)
    images = Collection.at(FILES(), tmp_path)
    assert images.shape(0) == tuple(images.decode(0).shape[1:])


def test_label_maps_are_looked_at_before_a_training(tmp_path):
    for n in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{n}.bmp")
        Image.new("L", (8, 8), 255 if n == 2 else 1).save(tmp_path / f"{n}.png")
    collection = Collection.at(FILES(labels="{}.png"), tmp_path)
    assert collection.labelled().names == collection.names
    with pytest.raises(DataError, match=r"label map of 2\.bmp has class 255, but .* are 0 to 1"):
        collection.labelled(["background", "skin"])


def test_a_label_map_with_a_class_too_many_is_refused_when_its_turn_comes(tmp_path, plan):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.bmp")
    Image.new("L", (8, 8), 2).save(tmp_path / "a.png")
    collection = Collection.at(FILES(labels="{}.png"), tmp_path)
    of = {"labelled": True, "classes": ["background", "skin"]}
    found = TrainingSamples(collection, BOXES, plan.data, (0,), **of)[FeedSample(0, 0, (8, 8))]
    assert isinstance(found, str)
    assert "label map of a.bmp has class 2, but the classes are 0 to 1" in found


def test_left_and_right_change_places_in_a_mirrored_label_map():
    labels = torch.tensor([[[0, 1, 2, 3, 4]]], dtype=torch.uint8)
    names = ["background", "left eye", "nose", "right eye", "left ear"]  # no right ear
    assert mirror_labels(labels, names).tolist() == [[[0, 3, 2, 1, 4]]]
    assert mirror_labels(labels, ()).tolist() == labels.tolist()


def test_mirrored_images_have_mirrored_classes(tmp_path, plan):
    """Where the left eye was, the right one is."""
    values = np.zeros((32, 32), np.uint8)
    values[:, :16] = 1
    Image.fromarray(np.stack([values * 100] * 3, 2)).save(tmp_path / "0.bmp")
    Image.fromarray(values).save(tmp_path / "0.png")
    collection = Collection.at(FILES(labels="{}.png"), tmp_path)
    classes = ["right eye", "left eye"]
    samples = TrainingSamples(collection, BOXES, plan.data, (0,), labelled=True, classes=classes)
    mirrored = set()
    for n in range(8):
        sample = samples[FeedSample(n, 0, (32, 32))]
        assert not isinstance(sample, str)
        bright = sample["image"][0] > 50
        turned = not bool(bright[0, 0])
        assert torch.equal(sample["labels"][0] == (0 if turned else 1), bright)
        mirrored.add(turned)
    assert mirrored == {True, False}


def test_a_task_may_see_images_larger_from_their_files(folder, plan):
    """The same crop and flip, at a size with more to see than in the image."""
    made = feed(folder, plan, fit="cover", size=16)
    made.detail = {"one": 2, "two": 1}.__getitem__
    batch = next(made("one", 0))
    assert batch.large is not None
    assert batch.large.shape == (4, 3, 32, 32)
    small = torch.nn.functional.interpolate(batch.large, scale_factor=0.5, mode="area")
    assert (small - batch.image).abs().mean() < 0.02
    again = torch.nn.functional.interpolate(small, scale_factor=2)
    assert (again - batch.large).abs().mean() > 0.005
    assert next(made("two", 0)).large is None


def test_a_crop_in_the_centre_stays_there(tmp_path, plan):
    values = np.zeros((60, 32, 3), np.uint8)
    values[14:46] = 200
    Image.fromarray(values).save(tmp_path / "0.png")
    stream = feed(tmp_path, plan, fit="centre", batch=6)("one", 0)
    assert (next(stream).image > 0.7).all()


@pytest.mark.parametrize(
    ("how", "flag"), [("opencv", cv2.INTER_LINEAR), ("nearest", cv2.INTER_NEAREST)]
)
def test_images_are_scaled_as_opencv_does(how, flag):
    image = torch.randint(0, 256, (3, 41, 30), dtype=torch.uint8)
    pixels = image.permute(1, 2, 0).numpy()
    scaled = place_image(image, (16, 24), "stretch", resize=how).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(scaled, cv2.resize(pixels, (24, 16), interpolation=flag))
    assert place_image(image[:1], (16, 24), "stretch", resize=how).shape == (1, 16, 24)
    smooth = place_image(image, (16, 24), "stretch").permute(1, 2, 0).numpy()
    assert np.diff(scaled.astype(int), axis=1).std() > 1.2 * np.diff(smooth.astype(int)).std()
