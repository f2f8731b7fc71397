"""What `patchmatch` promises beyond the contract: real texture, kept borders, the same bits."""

import importlib
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from places import ROOT
from skimage import data

from inpaint_plugins.patchmatch.model import (
    Descriptions,
    Scale,
    build_pyramid,
    count_sources,
    favour_offsets,
    fill_smoothly,
    find_sources,
    frequent_offsets,
    halve,
    inpaint,
    nearest_rank,
    price_reuse,
    principal_axes,
    refine_matches,
)
from inpaint_plugins.patchmatch.products import multiply
from inpaint_plugins.patchmatch.seams import blend_gradients, cut_seams

Floats = NDArray[np.float32]
Hole = NDArray[np.bool_]

DIGEST = """
import hashlib, sys, cv2, numpy as np
from inpaint_plugins.patchmatch.model import inpaint
cv2.setNumThreads(int(sys.argv[1]))
rng = np.random.default_rng(5)
noise = cv2.GaussianBlur(rng.random((150, 130, 3), np.float32), (0, 0), 1.5)
hole = np.zeros((150, 130), bool)
hole[40:110, 30:100] = True
print(hashlib.sha256(inpaint(noise, hole, rng)).hexdigest())
"""


def run_alone(code: str, *words: str, **variables: str) -> str:
    """Return what `code` prints in a process of its own."""
    line = [sys.executable, "-c", code, *words]
    return subprocess.check_output(line, env=os.environ | variables, text=True)


def fill(image: Floats, hole: Hole, seed: int = 0) -> Floats:
    """`image` [H, W, 3] with `hole` [H, W] filled."""
    filled = inpaint(image, hole, np.random.default_rng(seed))
    return np.where(hole[..., None], filled, image)


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> Hole:
    hole = np.zeros((height, width), bool)
    hole[top:bottom, left:right] = True
    return hole


@pytest.fixture
def texture(monkeypatch):
    """The measures of the benchmark."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("texture")


def noise(*shape: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.fixture(scope="module")
def photo() -> Floats:
    return data.astronaut()[100:228, 150:278].astype(np.float32) / 255


def test_a_constant_photo_stays_constant():
    image = np.full((48, 64, 3), 0.6, np.float32)
    assert np.allclose(fill(image, box(48, 64, 10, 10, 40, 40)), image, atol=1e-3)


def test_a_periodic_texture_is_continued():
    image = np.tile(noise(8, 8, 3, seed=3), (12, 12, 1))
    hole = box(96, 96, 30, 34, 62, 60)
    assert np.abs(fill(image, hole) - image)[hole].mean() < 0.01


def test_a_border_between_two_textures_stays_where_it_is():
    bright = (np.arange(96) >= 48).astype(np.float32)[:, None]
    image = 0.3 * noise(96, 96, 3) + 0.6 * bright
    filled = fill(image, box(96, 96, 32, 30, 60, 66)).mean(axis=2)
    assert (filled[32:60, 30:46] < 0.45).mean() > 0.98
    assert (filled[32:60, 50:66] > 0.45).mean() > 0.98


def test_texture_keeps_its_contrast():
    image = noise(96, 96, 3)
    hole = box(96, 96, 30, 30, 66, 66)
    assert fill(image, hole)[hole].std() > 0.8 * image[hole].std()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(photo):
    hole = box(128, 128, 40, 40, 90, 80)
    once = fill(photo, hole)
    assert np.array_equal(once, fill(photo, hole))
    assert not np.array_equal(once, fill(photo, hole, seed=1))


def test_the_number_of_threads_does_not_matter():
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    digests = {run_alone(DIGEST, n, **dict.fromkeys(variables, n)) for n in ("1", "2", "5")}
    assert len(digests) == 1


def test_filling_needs_no_torch():
    loaded = run_alone(
        "import inpaint_plugins.patchmatch.model; import sys; print(*sys.modules)"
    ).split()
    assert "cv2" in loaded
    assert not {"torch", "scipy", "skimage"} & set(loaded)


def test_what_is_under_the_hole_does_not_matter(photo):
    hole = box(128, 128, 0, 40, 60, 128)
    once = fill(photo, hole)
    again = fill(np.where(hole[..., None], 1 - photo, photo), hole)
    assert np.array_equal(once[hole], again[hole])


def test_the_photo_itself_is_not_changed(photo):
    hole = box(128, 128, 50, 50, 70, 70)
    image, area = photo.copy(), hole.copy()
    inpaint(image, area, np.random.default_rng(0))
    assert np.array_equal(image, photo)
    assert np.array_equal(area, hole)


@pytest.mark.parametrize("name", ["astronaut", "rocket"])
def test_holes_at_the_border_of_a_photo_are_not_filled_with_stripes(name, texture):
    picture = Image.fromarray(getattr(data, name)()).convert("RGB").resize((160, 160))
    image = np.array(picture, np.float32) / 255
    shares = []
    for turns in range(4):
        for small in (box(160, 160, 40, 0, 120, 45), box(160, 160, 48, 0, 160, 70)):
            hole = np.ascontiguousarray(np.rot90(small, turns))
            seen = np.where(hole[..., None], np.float32(0), image)
            source = find_sources(seen, hole, 7, np.random.default_rng(0))
            shares.append(texture.striped_share(source.reshape(hole.shape), hole))
    assert max(shares) < 0.05
    assert np.mean(shares) < 0.015


def test_a_source_that_is_used_too_often_costs_more_unless_it_is_flat():
    picture, hole = noise(40, 60, 3), box(40, 60, 10, 20, 30, 40)
    picture[:, :15] = 0.5
    scale = Scale(picture, hole, 7)
    known = Descriptions(scale, np.eye(147, 20, dtype=np.float32))
    wanted = scale.describe(scale.queries, known.basis)
    for place, dear in ((5 * 60 + 3, False), (5 * 60 + 48, True)):
        match = np.arange(hole.size)
        match[scale.queries] = place
        price = price_reuse(scale, match, wanted, known)
        assert (price[scale.nearest[place]] > 0.1) == dear
        assert not price[scale.nearest[20 * 60 + 48]]


def repeating_scale(*, down: int, right: int) -> tuple[Scale, Descriptions]:
    """A scale [72, 96] of noise that repeats itself, with a hole in its middle."""
    tile = np.random.default_rng(2).random((down, right, 3), np.float32)
    picture = np.tile(tile, (-(-72 // down), -(-96 // right), 1))[:72, :96]
    hole = box(72, 96, 25, 35, 45, 60)
    scale = Scale(np.where(hole[..., None], np.float32(0), picture), hole, 5)
    rng = np.random.default_rng(0)
    return scale, Descriptions(scale, principal_axes(scale.patches(scale.sources), rng))


def test_the_offsets_at_which_a_photo_repeats_itself_are_found():
    scale, known = repeating_scale(down=11, right=17)
    offsets = frequent_offsets(scale, known, np.random.default_rng(0))
    assert offsets
    assert all(down % 11 == 0 and right % 17 == 0 for down, right in offsets)
    assert (0, 0) not in offsets


def test_a_source_at_such_an_offset_is_taken_although_another_is_as_near():
    scale, known = repeating_scale(down=11, right=17)
    match = np.arange(len(scale.rows))
    match[scale.queries] = scale.sources[0]
    wanted = known.of(np.arange(len(scale.sources)))[: len(scale.queries)]
    cost = np.full(len(scale.queries), 1e9, np.float32)
    favour_offsets(scale, match, wanted, known, [(0, 34), (0, -34)], cost)
    place = match[scale.queries]
    assert {int(n) for n in np.unique(place - scale.queries)} >= {34, -34}
    dear = np.full(len(scale.queries), -1, np.float32)  # nothing is nearer
    favour_offsets(scale, match, wanted, known, [(0, 17)], dear)
    assert np.array_equal(match[scale.queries], place)


def test_stripes_are_counted_and_copies_are_not(texture):
    striped_share = texture.striped_share
    hole, place = box(80, 90, 10, 0, 70, 60), np.arange(80 * 90).reshape(80, 90)
    y, x = np.divmod(place, 90)
    assert striped_share(place, hole) == striped_share(place + 30 * hole, hole) == 0
    assert striped_share(np.where(hole, y * 90 + 65, place), hole) > 0.9
    assert striped_share(np.where(hole, x + 90 * 75, place), hole) > 0.9
    assert striped_share(np.where(hole, y * 90 + 70 - x // 8, place), hole) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (9, 64), (37, 53), (3, 1200)])
def test_any_size_with_any_hole_gives_finite_colours(size):
    image = noise(*size, 3)
    half = np.zeros(size, bool)
    half[:, size[1] // 2 :] = True
    full, none, line = np.ones(size, bool), np.zeros(size, bool), np.eye(*size) > 0
    crowded = noise(*size) < 0.5  # leaves no patch that is wholly visible
    frame = np.pad(np.zeros((max(size[0] - 2, 0), max(size[1] - 2, 0)), bool), 1)
    frame = ~frame[: size[0], : size[1]]
    frame[1:-1, 1:-1] = False  # touches all borders
    for hole in (full, none, half, line, crowded, frame):
        filled = fill(image, hole)
        assert filled.shape == image.shape
        assert filled.dtype == np.float32
        assert ((filled >= 0) & (filled <= 1)).all()


def test_a_few_visible_pixels_are_spread_where_no_patch_is_visible():
    image, hole = np.zeros((17, 21, 3), np.float32), np.ones((17, 21), bool)
    image[8, 8], hole[8, 8] = 0.7, False
    assert np.allclose(fill_smoothly(image, hole), 0.7, atol=1e-5)


def test_halving_takes_colours_from_visible_pixels_only():
    picture = np.array([[[0.2], [0.0], [0.0]], [[0.4], [0.0], [0.8]]], np.float32)
    hole = np.array([[False, True, True], [False, True, False]])
    smaller, area = halve(picture, hole)
    assert np.allclose(smaller[..., 0], [[0.3, 0.8]])
    assert area.tolist() == [[False, False]]


def test_sources_are_the_patches_that_are_wholly_visible():
    hole = box(20, 30, 5, 5, 9, 11)
    scale = Scale(noise(20, 30, 3), hole, 7)
    assert len(scale.sources) == count_sources(hole, 7)
    assert len(scale.sources) + len(scale.queries) == 14 * 24
    assert not hole.ravel()[scale.sources[:, None] + scale.offsets].any()
    assert hole.ravel()[scale.queries[:, None] + scale.offsets].any(axis=1).all()


def test_the_nearest_source_of_a_source_is_itself():
    visible = noise(40, 50) < 0.1
    rank = nearest_rank(visible)
    assert np.array_equal(rank[visible], np.arange(visible.sum()))
    there = np.argwhere(visible)[rank]
    distance = np.linalg.norm(there - np.moveaxis(np.indices(rank.shape), 0, -1), axis=2)
    exact = cv2.distanceTransform((~visible).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert (distance <= 1.1 * exact + 1e-6).all()


@pytest.mark.parametrize("shape", [(1, 7, 3), (33, 245, 20), (70, 21, 900), (5, 300, 40)])
def test_small_products_make_up_the_large_one(shape):
    rows, depth, columns = shape
    left, right = noise(rows, depth), noise(depth, columns, seed=2)
    assert np.allclose(multiply(left, right), left @ right, rtol=1e-5)


def test_principal_axes_are_orthonormal_and_hold_what_differs_most():
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((245, 20)))[0]
    examples = rng.standard_normal((900, 20)) @ directions.T + 3
    axes = principal_axes(examples.astype(np.float32), rng)
    assert np.allclose(axes.T @ axes, np.eye(20), atol=1e-5)
    assert np.allclose(axes @ (axes.T @ directions), directions, atol=1e-3)


def test_identical_matches_carry_over_to_the_finer_scale():
    picture, hole = noise(41, 60, 3), box(41, 60, 10, 10, 34, 36)
    coarse, fine = Scale(*halve(picture, hole), 5), Scale(picture, hole, 5)
    shift = 20 * coarse.width + 18
    every = len(coarse.rows)
    carried = refine_matches((np.arange(every) + shift) % every, coarse, fine)
    assert np.isin(carried[fine.queries], fine.sources).all()


def test_the_pyramid_stops_while_there_are_sources():
    hole = np.ones((256, 256), bool)
    hole[:16] = False
    scales = build_pyramid(noise(256, 256, 3), hole, 7)
    assert all(count_sources(area, 7) >= 64 for _, area in scales)


def test_a_copy_without_seams_is_left_alone():
    image, hole = noise(24, 24, 3), box(24, 48, 6, 6, 18, 18)
    rows = np.concatenate([image, image], axis=1).reshape(-1, 3)
    source = np.arange(len(rows))
    source[hole.ravel()] += 24
    assert np.array_equal(cut_seams(rows, hole, source), source)
    assert np.allclose(blend_gradients(rows, hole, source).reshape(-1, 3), rows, atol=1e-4)


def test_seams_move_to_where_they_show_less():
    rows, hole = noise(40, 60, 3), box(40, 60, 10, 10, 20, 30)
    source = np.arange(40 * 60).reshape(40, 60)
    source[hole] += np.random.default_rng(0).choice([15 * 60, 15 * 60 + 7], 200)
    moved = cut_seams(rows.reshape(-1, 3), hole, source.ravel()).reshape(40, 60)
    assert seam_cost(rows, moved) < 0.8 * seam_cost(rows, source)
    assert np.array_equal(moved[~hole], source[~hole])
    assert not hole.ravel()[moved].any()


def seam_cost(image: Floats, source: NDArray[np.intp]) -> float:
    """Kwatra et al. 2003, eq. 1, over all neighbours of a copy that shows no border."""
    rows, total = image.reshape(-1, 3), 0.0
    for here, there, step in (
        (source[:, :-1], source[:, 1:], 1),
        (source[:-1], source[1:], source.shape[1]),
    ):
        total += np.linalg.norm(rows[here] - rows[there - step], axis=-1).sum()
        total += np.linalg.norm(rows[(here + step) % len(rows)] - rows[there], axis=-1).sum()
    return total


def test_blending_forgets_a_constant_difference():
    ramp = np.broadcast_to(np.linspace(0, 0.4, 24, dtype=np.float32)[:, None], (24, 24))
    grey = np.concatenate([ramp, ramp + np.float32(0.3)], axis=1)
    rows = np.repeat(grey[..., None], 3, axis=2).reshape(-1, 3)
    hole = box(24, 48, 8, 8, 12, 12)
    source = np.arange(len(rows))
    source[hole.ravel()] += 24  # 0.3 brighter
    before = np.abs(rows[source] - rows).max()
    after = np.abs(blend_gradients(rows, hole, source).reshape(-1, 3) - rows).max()
    assert after < before / 5


def test_the_measures_of_the_benchmark_are_nought_for_the_truth_and_tell_what_is_worse(texture):
    truth, hole = cv2.GaussianBlur(noise(64, 72, 3), (0, 0), 1.2), box(64, 72, 16, 16, 48, 48)
    assert texture.measure_texture(truth, truth, hole) == [0] * len(texture.MEASURES)
    moved = np.where(hole[..., None], np.roll(truth, 20, 1), truth)
    blurred = np.where(hole[..., None], cv2.blur(truth, (9, 9)), truth)
    better, worse = (texture.measure_texture(image, truth, hole) for image in (moved, blurred))
    assert all(a < b for a, b in zip(better, worse, strict=True) if (a, b) != (better[3], worse[3]))
    assert texture.measure_noise(blurred, hole) < 0.5 * texture.measure_noise(truth, hole)


def test_a_fill_of_a_sky_keeps_its_light_and_its_grain(texture):
    down = np.linspace(0.3, 0.7, 120, dtype=np.float32)[:, None, None]
    sky = down + 0.02 * (noise(120, 160, 3) + noise(120, 160, 3, seed=2) - 1)
    hole = box(120, 160, 40, 50, 80, 110)
    filled = fill(sky, hole)
    assert abs((filled - sky)[hole].mean()) < 0.005
    assert 0.8 < texture.measure_noise(filled, hole) / texture.measure_noise(sky, ~hole) < 1.25
