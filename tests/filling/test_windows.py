from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inpaint_cli.api.architectures import WHOLE_PHOTO, Sizes
from inpaint_cli.filling.photo import fill
from inpaint_cli.filling.windows import Box, merge_boxes, plan_windows, round_limit

SIZES = st.builds(
    Sizes,
    multiple=st.sampled_from([1, 8, 32]),
    minimum=st.sampled_from([1, 16, 64]),
    square=st.booleans(),
    window=st.integers(16, 120),
    context=st.integers(0, 40),
)


@st.composite
def holes(draw):
    height, width = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    hole = np.zeros((height, width), np.bool_)
    for _ in range(draw(st.integers(0, 12))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        hole[top : top + draw(st.integers(1, 150)), left : left + draw(st.integers(1, 150))] = True
    return hole


def area(box: Box) -> int:
    return box.height * box.width


@settings(deadline=None)
@given(holes(), SIZES)
def test_regions_hold_every_hole_pixel_once_and_stay_in_the_photo(hole, sizes):
    times = np.zeros(hole.shape, int)
    for region in plan_windows(hole, sizes):
        times[region.box.slices] += 1
        seen = np.zeros(hole.shape, np.bool_)
        for window in region.windows:
            assert min(window.top - region.box.top, window.left - region.box.left) >= 0
            assert window.top + window.height <= region.box.top + region.box.height
            assert window.left + window.width <= region.box.left + region.box.width
            assert min(window.height, window.width) > 0
            assert hole[window.slices].any(), "a window without a hole is work for nothing"
            seen[window.slices] = True
        assert min(region.box.top, region.box.left) >= 0
        assert region.box.top + region.box.height <= hole.shape[0]
        assert region.box.left + region.box.width <= hole.shape[1]
        assert seen[region.box.slices][hole[region.box.slices]].all()
    assert times.max(initial=0) <= 1
    assert (times[hole] == 1).all()


@settings(deadline=None)
@given(holes(), SIZES)
def test_no_window_is_larger_than_allowed(hole, sizes):
    limit = round_limit(sizes.window, sizes)
    for region in plan_windows(hole, sizes):
        for window in region.windows:
            assert max(window.height, window.width) <= limit


@settings(deadline=None)
@given(holes(), SIZES)
def test_a_window_has_a_size_the_network_takes_wherever_the_photo_allows_it(hole, sizes):
    for region in plan_windows(hole, sizes):
        for window in region.windows:
            rows, columns = sizes.fit(window.height, window.width)
            for side, fit, all_of_it in zip(
                (window.height, window.width), (rows, columns), hole.shape, strict=True
            ):
                assert side in (fit, all_of_it) or fit > all_of_it


@settings(deadline=None)
@given(holes(), SIZES)
def test_windows_own_the_hole_and_reach_beyond(hole, sizes):
    for region in plan_windows(hole, sizes):
        owners = np.zeros(hole.shape, int)
        for window, own, share in zip(region.windows, region.owned, region.shares(), strict=True):
            owners[own.slices] += 1
            assert share.shape == (window.height, window.width)
            inner = own.within(window)
            assert min(inner.top, inner.left) >= 0
            assert (share[inner.slices] == 1).all()
            assert share.size - area(own) == (share < 1).sum()
        assert owners.max() == 1
        assert (owners[region.box.slices][hole[region.box.slices]] == 1).all()


def test_the_work_grows_with_the_hole_and_not_with_the_photo():
    sizes = Sizes(window=512, context=64)
    windows = []
    for side in (600, 1200, 4800):
        hole = np.zeros((side, side), np.bool_)
        hole[300:400, 280:400] = True
        (region,) = plan_windows(hole, sizes)
        windows += region.windows
    assert windows[0] == windows[1] == windows[2] == Box(236, 216, 228, 248)


def test_context_grows_with_the_area_of_the_hole():
    hole = np.zeros((2000, 2000), np.bool_)
    hole[800:1000, 800:1000] = True
    (region,) = plan_windows(hole, Sizes(window=512, context=64))
    assert region.windows == (Box(700, 700, 400, 400),)
    hole[800:1000, 800:1000] = False
    hole[800, 800:1100] = True  # a scratch is long, but not large
    (region,) = plan_windows(hole, Sizes(window=512, context=64))
    assert region.windows == (Box(736, 736, 129, 428),)


def test_a_small_photo_is_one_window():
    hole = np.zeros((101, 97), np.bool_)
    hole[50, 50] = True
    (region,) = plan_windows(hole, Sizes(window=256, context=30))
    assert region.windows == (Box(0, 0, 101, 97),)


def test_a_hole_larger_than_the_window_is_tiled_with_overlaps():
    hole = np.zeros((900, 900), np.bool_)
    hole[100:800, 100:800] = True
    (region,) = plan_windows(hole, Sizes(window=256, context=32))
    assert len(region.windows) > 9
    rows = sorted({w.top for w in region.windows})
    assert all(a + 256 - b >= 64 for a, b in pairwise(rows))


def test_scratches_are_tiled_only_where_they_are():
    hole = np.zeros((2000, 2000), np.bool_)
    hole[np.arange(2000), np.arange(2000)] = True
    work = sum(area(w) for region in plan_windows(hole, Sizes(window=256)) for w in region.windows)
    assert work < 0.75 * hole.size


def test_thousands_of_specks_need_few_windows():
    hole = np.zeros((3000, 4000), np.bool_)
    rng = np.random.default_rng(0)
    hole[rng.integers(0, 3000, 5000), rng.integers(0, 4000, 5000)] = True
    windows = [
        w for region in plan_windows(hole, Sizes(window=512, context=64)) for w in region.windows
    ]
    assert len(windows) <= 90
    assert sum(map(area, windows)) < 2 * hole.size


@settings(deadline=None)
@given(holes(), st.integers(0, 40), st.integers(60, 400))
def test_a_local_filler_fills_every_hole_pixel_once(hole, context, limit):
    sizes, times = Sizes(window=limit, context=context, local=True), np.zeros(hole.shape, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inpaint_cli.filling.windows.LOCAL_CELL", 50)
        regions = plan_windows(hole, sizes)
    for region in regions:
        own = hole[region.box.slices] if region.hole is None else region.hole
        times[region.box.slices] += own
        seen = np.zeros(hole.shape, np.bool_)
        for window in region.windows:
            seen[window.slices] = True
        assert seen[region.box.slices][own].all()
    assert (times == hole).all()


@pytest.mark.parametrize("model", ["telea", "ns"])
def test_holes_filled_apart_are_those_filled_together(model, monkeypatch):
    rng = np.random.default_rng(0)
    photo, mask = rng.integers(0, 256, (300, 400, 3), np.uint8), np.zeros((300, 400), np.bool_)
    for top, left in rng.integers(0, 290, (40, 2)):
        mask[top : top + 9, left : left + 14] = True
    mask[40:43] = True  # from side to side
    together = fill(photo, mask, model=model)
    monkeypatch.setattr("inpaint_cli.filling.windows.LOCAL_CELL", 64)
    apart = fill(photo, mask, model=model)
    assert len(together.windows) == 1
    assert len(apart.windows) > 10
    assert (together.array == apart.array).all()


@given(st.lists(st.tuples(*[st.integers(0, 300)] * 4), min_size=1, max_size=30))
def test_merged_boxes_hold_all_and_do_not_overlap(corners):
    boxes = np.array(
        [[min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1] for a, b, c, d in corners]
    )
    out = merge_boxes(boxes, (301, 301))
    inside = [((out[:, :2] <= box[:2]) & (out[:, 2:] >= box[2:])).all(1).sum() for box in boxes]
    assert inside == [1] * len(boxes)
    count = np.zeros((301, 301), int)
    for top, left, bottom, right in out:
        count[top:bottom, left:right] += 1
    assert count.max() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (7, 11), (509, 521)])
def test_odd_photos(shape):
    hole = np.zeros(shape, np.bool_)
    hole[-1, -1] = True
    for sizes in (Sizes(), Sizes(multiple=32, minimum=64, square=True, window=128)):
        (region,) = plan_windows(hole, sizes)
        assert region.windows[-1].top + region.windows[-1].height == shape[0]


def test_no_hole_no_windows():
    assert plan_windows(np.zeros((5, 5), np.bool_), Sizes()) == []


def test_what_may_not_be_cut_is_one_window_however_large():
    hole = np.zeros((900, 700), np.bool_)
    hole[100:800, 100:600] = True
    (region,) = plan_windows(hole, Sizes(window=256, context=32, tiles=False))
    assert len(region.windows) == 1
    assert region.windows[0] == region.box
    hole[110:, :] = False
    (region,) = plan_windows(hole, Sizes(window=256, context=WHOLE_PHOTO, tiles=False))
    assert region.windows == (Box(0, 0, 900, 700),)
