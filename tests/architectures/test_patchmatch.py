"""What `patchmatch` promises beyond the contract: real texture, kept borders, the same bits."""

import numpy as np
import pytest
import torch
from skimage import data

from inpaint_cli.api.settings import Settings
from inpaint_plugins.patchmatch import PatchMatch
from inpaint_plugins.patchmatch.model import (
    Scale,
    halved,
    pyramid,
    refined,
    smooth,
    visible_patches,
)
from inpaint_plugins.patchmatch.seams import blend, cut


def fill(image: torch.Tensor, hole: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """`image` [3, H, W] with `hole` [H, W] filled."""
    torch.manual_seed(seed)
    mask = hole.float()[None, None]
    filled = PatchMatch.build(Settings())(image[None] * (1 - mask), mask)[0]
    return torch.where(hole, filled, image)


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[top:bottom, left:right] = True
    return hole


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    small = data.astronaut()[100:228, 150:278].astype(np.float32) / 255
    return torch.from_numpy(small).permute(2, 0, 1)


def test_a_constant_photo_stays_constant():
    image = torch.full((3, 48, 64), 0.6)
    assert torch.allclose(fill(image, box(48, 64, 10, 10, 40, 40)), image, atol=1e-3)


def test_a_periodic_texture_is_continued():
    tile = torch.from_numpy(np.random.default_rng(3).random((3, 8, 8), np.float32))
    image = tile.repeat(1, 12, 12)
    hole = box(96, 96, 30, 34, 62, 60)
    error = (fill(image, hole) - image)[:, hole].abs()
    assert error.mean() < 0.01


def test_a_border_between_two_textures_stays_where_it_is():
    rng = np.random.default_rng(1)
    noise = torch.from_numpy(rng.random((3, 96, 96), np.float32)) * 0.3
    image = noise + 0.6 * (torch.arange(96) >= 48)
    hole = box(96, 96, 32, 30, 60, 66)
    filled = fill(image, hole).mean(0)
    assert (filled[32:60, 30:46] < 0.45).float().mean() > 0.98
    assert (filled[32:60, 50:66] > 0.45).float().mean() > 0.98


def test_texture_keeps_its_contrast(photo):
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.random((3, 96, 96), np.float32))
    hole = box(96, 96, 30, 30, 66, 66)
    filled = fill(image, hole)
    assert filled[:, hole].std() > 0.8 * image[:, hole].std()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(photo):
    hole = box(128, 128, 40, 40, 90, 80)
    once = fill(photo, hole)
    assert torch.equal(once, fill(photo, hole))
    assert not torch.equal(once, fill(photo, hole, seed=1))


def test_the_number_of_threads_does_not_matter(photo):
    photo, hole = photo[:, 30:94, 30:94], box(64, 64, 20, 20, 44, 40)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        once = fill(photo, hole)
        torch.set_num_threads(2)
        assert torch.equal(once, fill(photo, hole))
    finally:
        torch.set_num_threads(threads)


def test_what_lies_under_the_hole_does_not_matter(photo):
    hole = box(128, 128, 0, 40, 60, 128)
    once = fill(photo, hole)
    again = fill(torch.where(hole, 1 - photo, photo), hole)
    assert torch.equal(once[:, hole], again[:, hole])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (9, 64), (37, 53)])
def test_any_size_with_any_hole_gives_finite_colours(size):
    image = torch.rand(3, *size)
    half = torch.zeros(size, dtype=torch.bool)
    half[..., size[1] // 2 :] = True
    full, none, line = torch.ones_like(half), torch.zeros_like(half), torch.eye(*size) > 0
    crowded = torch.rand(size) < 0.5  # leaves no patch that is wholly visible
    for hole in (full, none, half, line, crowded):
        filled = fill(image, hole)
        assert filled.shape == image.shape
        assert ((filled >= 0) & (filled <= 1)).all()


def test_a_few_visible_pixels_are_spread_where_no_patch_is_visible():
    image, hole = torch.zeros(3, 17, 21), torch.ones(17, 21, dtype=torch.bool)
    image[:, 8, 8], hole[8, 8] = 0.7, False
    assert torch.allclose(smooth(image, hole), torch.full_like(image, 0.7), atol=1e-5)


def test_halving_takes_colours_from_visible_pixels_only():
    picture = torch.tensor([[[0.2, 0.0, 0.0], [0.4, 0.0, 0.8]]])
    hole = torch.tensor([[False, True, True], [False, True, False]])
    smaller, area = halved(picture, hole)
    assert torch.allclose(smaller, torch.tensor([[[0.3, 0.8]]]))
    assert area.tolist() == [[False, False]]


def test_sources_are_the_patches_that_are_wholly_visible():
    hole = box(20, 30, 5, 5, 9, 11)
    scale = Scale(torch.rand(3, 20, 30), hole, 7)
    assert len(scale.sources) == visible_patches(hole, 7)
    assert len(scale.sources) + len(scale.queries) == 14 * 24
    assert not hole.flatten()[scale.sources[:, None] + torch.tensor(scale.offsets)].any()
    assert hole.flatten()[scale.queries[:, None] + torch.tensor(scale.offsets)].any(1).all()


def test_identical_matches_carry_over_to_the_finer_scale():
    picture, hole = torch.rand(3, 41, 60), box(41, 60, 10, 10, 34, 36)
    coarse, fine = Scale(*halved(picture, hole), 5), Scale(picture, hole, 5)
    shift = 20 * coarse.width + 18
    carried = refined((torch.arange(len(coarse.rows)) + shift) % len(coarse.rows), coarse, fine)
    assert torch.isin(carried[fine.queries], fine.sources).all()


def test_the_pyramid_stops_while_there_are_sources():
    hole = torch.ones(256, 256, dtype=torch.bool)
    hole[:16] = False
    scales = pyramid(torch.rand(3, 256, 256), hole, 7)
    assert all(visible_patches(area, 7) >= 64 for _, area in scales)


def test_a_copy_without_seams_is_left_alone():
    image, hole = torch.rand(3, 24, 48), box(24, 48, 6, 6, 18, 18)
    rows = torch.cat([image[:, :, :24], image[:, :, :24]], 2).flatten(1).T.contiguous()
    source = torch.arange(len(rows))
    source[hole.flatten()] += 24
    assert torch.equal(cut(rows, hole, source), source)
    assert torch.allclose(blend(rows, hole, source).flatten(1).T, rows, atol=1e-4)


def test_blending_forgets_a_constant_difference():
    y = torch.linspace(0, 0.4, 24)[:, None].expand(24, 24)
    rows = torch.cat([y, y + 0.3], 1).expand(3, 24, 48).flatten(1).T.contiguous()
    hole = box(24, 48, 8, 8, 12, 12)
    source = torch.arange(len(rows))
    source[hole.flatten()] += 24  # 0.3 brighter
    before = (rows[source] - rows).abs().max()
    after = (blend(rows, hole, source).flatten(1).T - rows).abs().max()
    assert after < before / 5
