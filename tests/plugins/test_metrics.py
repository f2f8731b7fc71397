"""Metrics against independent references: scikit-image, scipy, authors' packages, arithmetic."""

import math
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_pictures import box, noisy, photo, score, tensor
from scipy import linalg, optimize
from skimage import color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inpaint_cli import registry
from inpaint_cli.api.metrics import Features, ImageMetric, SetMetric
from inpaint_plugins.metrics import border, frechet, inception, perceptual, pixels, separation, ssim
from inpaint_plugins.metrics.border import ColourShift, Seam
from inpaint_plugins.metrics.pixels import L1, LMSE, MAE, NCC, PSNR
from inpaint_plugins.metrics.ssim import SSIM


# The arrays of two papers' checklists: truth, estimate.
def waves():
    r, c, k = np.meshgrid(np.arange(40), np.arange(40), np.arange(3), indexing="ij")
    truth = 127.5 + 80 * np.sin(2 * np.pi * (3 * r + 2 * c) / 40 + k)
    return truth, truth + 10 * (1 + k) * np.cos(2 * np.pi * (5 * r - c) / 40)


def ramp():
    r, c = np.meshgrid(np.arange(64.0), np.arange(64.0), indexing="ij")
    truth = np.stack([4 * r, 4 * c, 2 * (r + c)], -1)
    estimate = truth.copy()
    estimate[16:48, 16:48] = 128
    return truth, estimate


CASES = {
    "A": waves(),
    "C": ramp(),
    "D": (ramp()[0], ramp()[0] / 2),
    "E": tuple(image[:45, :33] for image in ramp()),
}


@pytest.mark.parametrize(
    ("case", "psnr", "ssim", "ncc", "lmse"),
    [
        ("A", 25.953429, 0.952782, 0.965422, 0.01167820),
        ("C", 23.789749, 0.783315, 0.968184, 0.01626909),
        ("D", 11.058473, 0.716233, 1.000000, 0.00000000),
        ("E", 22.546879, 0.750459, 0.918480, 0.03348302),
    ],
)
def test_the_values_of_the_errnet_convention(case, psnr, ssim, ncc, lmse):
    truth, estimate = CASES[case]
    uniform = SSIM(window="uniform", size=7, sample=True)
    assert score(PSNR(pooling="channel"), estimate, truth) == pytest.approx(psnr, abs=1e-6)
    assert score(uniform, estimate, truth) == pytest.approx(ssim, abs=1e-6)
    assert score(NCC(), estimate, truth) == pytest.approx(ncc, abs=1e-6)
    assert score(LMSE(), estimate, truth) == pytest.approx(lmse, abs=1e-8)


def test_other_values_that_are_known():
    truth, estimate = CASES["A"]
    assert score(PSNR(), estimate, truth) == pytest.approx(24.451036, abs=1e-6)
    assert score(LMSE(), truth, estimate) == pytest.approx(0.01174900, abs=1e-8)
    assert score(SSIM(), estimate, truth) == pytest.approx(0.941754, abs=1e-6)
    assert score(SSIM(), *reversed(CASES["C"])) == pytest.approx(0.778482, abs=1e-6)
    assert score(PSNR(pooling="channel"), truth + 10, truth) == pytest.approx(28.130804, abs=1e-6)
    assert score(LMSE(), np.zeros((40, 40, 3)), truth) == pytest.approx(1)
    level = np.full((32, 32, 3), 100, np.uint8)
    assert score(PSNR(), level + 1, level) == pytest.approx(48.1308, abs=1e-4)
    assert score(L1(), level + 51, level) == pytest.approx(20)
    assert score(PSNR(), level + 51, level) == pytest.approx(13.979, abs=1e-3)
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    spn = SSIM(window="uniform", size=11, sample=True)
    assert score(spn, black, white) == pytest.approx(9.999e-5, abs=1e-8)
    red, green = black.copy(), black.copy()
    red[..., 0] = green[..., 1] = 255
    assert score(MAE(colour="mean"), red, green) == pytest.approx(0, abs=1e-12)
    assert score(MAE(), red, green) == pytest.approx(2 / 3)


@pytest.mark.parametrize("spread", [2, 25, 200])
@pytest.mark.parametrize("size", [(64, 72), (59, 67)])
def test_ssim_agrees_with_scikit_image(size, spread):
    truth = photo(*size)
    filled = noisy(truth, spread)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    gray = [color.rgb2gray(image / 255) for image in (truth, filled)]
    cases = [
        (SSIM(), truth, filled, {"channel_axis": -1, "data_range": 255, **gaussian}),
        (
            SSIM(window="uniform", size=11, sample=True),
            truth,
            filled,
            {"channel_axis": -1, "data_range": 255, "win_size": 11},
        ),
        (
            SSIM(window="uniform", size=51, sample=True, colour="gray"),
            *gray,
            {"data_range": 1, "win_size": 51},
        ),
    ]
    for metric, a, b, conventions in cases:
        expected = structural_similarity(a, b, **conventions)
        assert score(metric, filled, truth) == pytest.approx(expected, abs=1e-6)


def test_ssim_with_zero_padding_is_a_plain_convolution():
    truth = photo()
    filled = noisy(truth)
    x, y = (tensor(image).double() / 255 for image in (filled, truth))
    line = torch.exp(-((torch.arange(11.0).double() - 5) ** 2) / 4.5)
    window = torch.outer(line, line).expand(3, 1, 11, 11) / line.sum() ** 2

    def blur(image):
        return torch.nn.functional.conv2d(image, window, padding=5, groups=3)

    mx, my = blur(x), blur(y)
    top = (2 * mx * my + 1e-4) * (2 * (blur(x * y) - mx * my) + 9e-4)
    bottom = (mx**2 + my**2 + 1e-4) * (blur(x * x) + blur(y * y) - mx**2 - my**2 + 9e-4)
    expected = (top / bottom).mean().item()
    assert score(SSIM(border="zero"), filled, truth) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_equals_is_one_and_of_too_small_none():
    assert score(SSIM(), photo(), photo()) == 1
    assert math.isnan(score(SSIM(), photo(10, 64), photo(10, 64)))


def test_psnr_agrees_with_scikit_image_whatever_the_type():
    truth = photo()
    filled = noisy(truth)
    expected = peak_signal_noise_ratio(truth, filled, data_range=255)
    assert score(PSNR(), filled, truth) == pytest.approx(expected, abs=1e-9)
    assert score(PSNR(), filled.astype(float), truth.astype(float)) == pytest.approx(expected)
    gray = [color.rgb2gray(image) for image in (truth, filled)]
    expected = peak_signal_noise_ratio(*gray, data_range=1)
    assert score(PSNR(colour="gray"), filled, truth) == pytest.approx(expected, abs=1e-6)


def test_psnr_of_equals_is_infinite_or_capped_and_pools_errors():
    assert score(PSNR(), photo(), photo()) == math.inf
    assert score(PSNR(cap=100), photo(), photo()) == 100
    scores = np.array([20.0, 30.0])
    assert PSNR().average(scores) == 25
    assert PSNR(pooling="set").average(scores) == pytest.approx(-10 * math.log10((1e-2 + 1e-3) / 2))


def test_images_without_a_score_do_not_count():
    assert PSNR().over([20.0, math.nan, 30.0]) == 25
    assert math.isnan(PSNR().over([math.nan]))
    assert math.isnan(PSNR().over([]))


def test_forms_of_l1_and_regions():
    truth = np.full((8, 8, 3), 100, np.uint8)
    filled = truth.copy()
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 2:6, 2:6] = True  # a quarter
    filled[2:6, 2:6] = 151  # wrong by 20 %
    filled[3:5, 3:5] = 100  # but for the middle, a quarter of the hole
    for metric, expected in [
        (L1(), 20 * 12 / 64),
        (L1(region="hole"), 20 * 12 / 16),
        (L1(region="ring", ring=1), 20),
        (L1(divisor="truth"), 100 * 51 * 12 / (100 * 64)),
        (MAE(divisor="sum"), 51 * 12 / (200 * 64 + 51 * 12)),
        (MAE(divisor="sum", region="hole"), 51 * 12 / (200 * 16 + 51 * 12)),
    ]:
        assert score(metric, filled, truth, mask) == pytest.approx(expected), metric
    hole = truth[2:6, 2:6], filled[2:6, 2:6]
    expected = peak_signal_noise_ratio(*hole, data_range=255)
    assert score(PSNR(region="hole"), filled, truth, mask) == pytest.approx(expected)
    empty = torch.zeros_like(mask)
    for metric in (L1(region="hole"), PSNR(region="ring"), SSIM(region="hole", size=3), Seam()):
        assert math.isnan(score(metric, filled, truth, empty)), metric


def test_ncc_of_constant_pictures():
    flat = np.full((8, 8, 3), 100, np.uint8)
    assert score(NCC(), flat, flat) == 1
    assert score(NCC(), flat, photo(8, 8)) == 0


def test_border_metrics_by_hand():
    truth = np.full((12, 12, 3), 100, np.uint8)
    filled = truth.copy()
    filled[4:8, 4:8] = 151
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., 4:8, 4:8] = True
    assert score(Seam(), filled, truth, mask) == pytest.approx(20)  # a flat patch stands out
    assert score(ColourShift(), filled, truth, mask) == pytest.approx(20)
    filled[..., 1:] = truth[..., 1:]  # one channel of three
    assert score(Seam(), filled, truth, mask) == pytest.approx(20 / 3)
    assert score(ColourShift(), filled, truth, mask) == pytest.approx(20 / math.sqrt(3))
    slope = np.repeat(np.arange(0, 120, 10, np.uint8)[:, None], 12, 1)
    slope = np.repeat(slope[..., None], 3, -1)
    assert score(Seam(), slope, slope, mask) == 0
    assert score(ColourShift(ring=1), photo(12, 12), photo(12, 12), mask) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(12, 40), st.integers(12, 40))
def test_what_must_hold_for_any_pictures(seed, height, width):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    for metric in (L1(), PSNR(), SSIM(), NCC(), MAE(colour="gray"), PSNR(pooling="channel")):
        assert score(metric, a, b) == pytest.approx(score(metric, b, a), abs=1e-9)
        assert score(metric, a, b) == pytest.approx(  # levels and floats are one picture
            score(metric, a.astype(float), b.astype(float)), abs=1e-6
        )


def test_a_batch_is_its_images_one_by_one():
    truths = [photo(), noisy(photo(), 40, 1), photo()[::-1]]
    fills = [noisy(image, 30, n) for n, image in enumerate(truths)]
    mask = box(64, 72)
    for metric in (L1(), PSNR(region="hole"), SSIM(), NCC(), LMSE(), Seam(), ColourShift()):
        alone = [score(metric, f, t, mask) for f, t in zip(fills, truths, strict=True)]
        pair = [torch.cat([tensor(image.copy()) for image in side]) for side in (fills, truths)]
        assert metric.score(*pair, mask.expand(3, -1, -1, -1)).tolist() == pytest.approx(
            alone, rel=1e-12
        )


# Sets


def features(rows):
    return Features(np.asarray(rows, np.float32), np.arange(len(rows)))


def gaussian(seed, count, width):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width)) / math.sqrt(width)
    return (rng.normal(size=(count, width)) @ mixing + rng.normal(size=width)).astype(np.float32)


def by_pytorch_fid(a, b):
    """Their formula with scipy's matrix root; imaginary parts of rounding are dropped as there."""
    (m1, c1), (m2, c2) = [(x.mean(0), np.cov(x, rowvar=False)) for x in (a, b)]
    root = linalg.sqrtm(c1 @ c2)
    return (m1 - m2) @ (m1 - m2) + np.trace(c1) + np.trace(c2) - 2 * np.trace(root).real


@pytest.mark.parametrize(
    ("n", "m", "tolerance"),
    [(400, 300, 1e-6), (40, 300, 1e-5), (300, 40, 1e-5), (40, 30, 1e-5), (64, 65, 1e-5)],
)
def test_frechet_agrees_with_the_matrix_root(n, m, tolerance):
    a, b = gaussian(1, n, 64), gaussian(2, m, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy says that the product is singular: it is
        expected = by_pytorch_fid(a.astype(np.float64), b.astype(np.float64))
    assert frechet.frechet_distance(features(a), features(b)) == pytest.approx(
        expected, rel=tolerance
    )


def test_frechet_is_the_function_of_pytorch_fid(monkeypatch):
    from pytorch_fid import fid_score

    root = fid_score.linalg.sqrtm  # of which scipy 1.18 has dropped the argument that they give
    monkeypatch.setattr(fid_score.linalg, "sqrtm", lambda matrix, disp: (root(matrix), disp))
    a, b = (gaussian(seed, 400, 32).astype(np.float64) for seed in (1, 2))
    expected = fid_score.calculate_frechet_distance(
        a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
    )
    assert frechet.frechet_distance(features(a), features(b)) == pytest.approx(expected, rel=1e-6)


def test_frechet_by_hand():
    same = gaussian(3, 50, 8)
    assert frechet.frechet_distance(features(same), features(same)) == pytest.approx(0, abs=1e-9)
    assert frechet.frechet_distance(features(same), features(same[::-1])) == pytest.approx(
        0, abs=1e-9
    )
    shifted = frechet.frechet_distance(features(same), features(same + 2))
    assert shifted == pytest.approx(8 * 4, rel=1e-5)  # float32 rounds the shift
    a, b = (np.array([[-s], [s]]) * math.sqrt(0.5) for s in (1.0, 3.0))  # deviations 1 and 3
    assert frechet.frechet_distance(features(a), features(b)) == pytest.approx(4, rel=1e-6)
    flat = np.zeros((40, 3))  # a covariance of zero has no Cholesky factor
    assert frechet.frechet_distance(features(flat), features(flat + 1)) == pytest.approx(3)
    assert math.isnan(frechet.FID(weights="random").distance(features(same[:1]), features(same)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_moments_merge_exactly(seed, shards):
    rows = gaussian(seed, sum(shards), 6) + 100
    parts = [frechet.SetMoments.of(features(p)) for p in np.split(rows, np.cumsum(shards)[:-1])]
    merged = sum(parts[1:], parts[0])
    assert merged.count == len(rows)
    np.testing.assert_allclose(merged.mean, rows.astype(np.float64).mean(0), rtol=1e-12)
    if len(rows) > 1:
        expected = np.cov(rows.astype(np.float64), rowvar=False)
        np.testing.assert_allclose(merged.covariance, expected, rtol=1e-9, atol=1e-9)


def test_moments_merge_bit_for_bit_in_whole_blocks_of_one_origin():
    rows = gaussian(0, 2048 + 100, 16)
    origin = torch.zeros(16, dtype=torch.float64)
    whole = frechet.SetMoments.of(features(rows), origin)
    first, second = (frechet.SetMoments.of(features(p), origin) for p in (rows[:2048], rows[2048:]))
    assert torch.equal((first + second).covariance, whole.covariance)


@pytest.mark.parametrize("shape", [(40, 5), (12, 30), (3000, 4)])
def test_the_separating_plane_is_the_one_that_scipy_finds(shape):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=shape).astype(np.float32)
    sides = np.where(rows[:, 0] + rng.normal(size=len(rows)) > 0, 1.0, -1.0)
    order = np.argsort(sides)
    rows, sides = np.column_stack([rows, np.ones(len(rows))])[order], sides[order]

    def objective(w):
        short = np.clip(1 - sides * (rows @ w), 0, None)
        return w @ w / 2 + (short**2).sum(), w - 2 * rows.T @ (sides * short)

    expected = optimize.minimize(
        objective,
        np.zeros(rows.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"gtol": 1e-10, "ftol": 0},
    ).x
    sets = (features(rows[sides == side, :-1]) for side in (-1, 1))
    found = np.concatenate(separation.svm_decisions(*sets))
    np.testing.assert_allclose(found, rows @ expected, atol=1e-6)


def test_separation_by_hand():
    # one row on each side of 0: w/2 * w + 2 (1 - w)^2 has its minimum at w = 4/5, without an offset
    fake, real = separation.svm_decisions(features([[-1.0]]), features([[1.0]]))
    assert (fake.item(), real.item()) == pytest.approx((-0.8, 0.8))
    apart = features([[0.0], [0.1]]), features([[5.0], [5.1]])
    alike = features([[0.0], [1.0]]), features([[0.0], [1.0]])
    uids, pids = separation.UIDS(weights="random"), separation.PIDS(weights="random")
    assert (uids.distance(*apart), pids.distance(*apart)) == (0, 0)
    assert uids.distance(*alike) == pytest.approx(50)
    swapped = features([[1.0], [0.0]])  # in each pair another looks more real
    assert pids.distance(alike[0], swapped) in (0, 50)
    assert math.isnan(uids.distance(features(np.empty((0, 1))), features(np.empty((0, 1)))))


def test_sets_are_separated_a_block_at_a_time_and_once_for_both_metrics():
    class Watched(Features):
        reads = 0

        def all(self):
            raise AssertionError

        def blocks(self, size=256):
            self.__class__.reads += 1
            return super().blocks(size)

    count, width = 20_000, 32
    rng = np.random.default_rng(0)
    sets = [
        Watched((rng.normal(size=(count, width)) + n / 9).astype(np.float32), np.arange(count))
        for n in range(2)
    ]
    tracemalloc.start()
    pids = separation.PIDS(weights="random").distance(*sets)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < pids < 50
    assert peak < count * width * 8 / 2  # of the ten megabytes of two sets
    reads = Watched.reads
    assert 0 < separation.UIDS(weights="random").distance(*sets) < 50
    assert Watched.reads == reads


def test_features_are_read_in_blocks():
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    some = Features(rows, np.array([7, 1, 3]))
    assert [block[:, 0].tolist() for block in some.blocks(2)] == [[14, 2], [6]]
    assert some.all()[:, 0].tolist() == [14, 2, 6]


# Networks, with random weights: that the numbers of their packages come out


def test_inception_is_the_network_of_pytorch_fid(monkeypatch):
    from pytorch_fid import inception as theirs

    ours = inception.randomise(inception.inception_layers())
    for n, module in enumerate(m for m in ours.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        module.running_mean.fill_(0.01 * (n % 7))
        module.running_var.fill_(0.5 + 0.1 * (n % 5))
    state = {key: value.clone() for key, value in ours.state_dict().items()}
    monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda url, progress: state)
    images = torch.stack([tensor(noisy(photo(48, 80), s))[0] for s in (0, 90)])
    with torch.inference_mode():
        expected = theirs.InceptionV3().eval()(images.float() / 255)[0].flatten(1)
    monkeypatch.setattr(
        "inpaint_plugins.metrics.inception.load_backbone", {"inception-fid": state}.get
    )
    inception.inception_network.cache_clear()
    found = frechet.FID().features(images)
    inception.inception_network.cache_clear()
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_lpips_is_the_package_given_the_same_trunk(trunk, monkeypatch):
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    perceptual.randomise(theirs.net)
    state = {
        f"features.{name.partition('.')[2]}": value
        for name, value in theirs.net.state_dict().items()
    }
    monkeypatch.setattr(perceptual, "load_backbone", {perceptual.TRUNKS[trunk]: state}.get)
    perceptual.lpips_network.cache_clear()
    truth = photo()
    filled = noisy(truth, 60)
    a, b = (tensor(image).float() / 127.5 - 1 for image in (filled, truth))
    with torch.inference_mode():
        expected = theirs(a, b).item()
    assert expected > 1e-3
    assert score(perceptual.LPIPS(net=trunk), filled, truth) == pytest.approx(expected, rel=1e-5)
    assert score(perceptual.LPIPS(net=trunk), truth, truth) == 0
    hole = perceptual.LPIPS(net=trunk, region="hole")
    only = np.where(box(64, 72).permute(0, 2, 3, 1)[0].numpy(), filled, truth)
    assert score(hole, only, truth) > score(perceptual.LPIPS(net=trunk), only, truth) > 0
    perceptual.lpips_network.cache_clear()


def test_published_weights_are_asked_for_and_random_ones_are_said():
    for name in ("fid", "lpips", "u-ids", "p-ids"):
        metric = registry.load_plugin("metrics", name)
        assert metric().weights == "published"
        assert metric().note() == ""
        assert "random" in metric(weights="random").note()


def test_every_metric_is_of_one_of_the_two_forms_and_says_which_way_is_better():
    for name in registry.find_plugins("metrics"):
        metric = registry.load_plugin("metrics", name)
        assert issubclass(metric, ImageMetric) != issubclass(metric, SetMetric)
        assert metric.better in ("higher", "lower") or name == "pyiqa"  # which has it by its name
        assert metric.__doc__


@pytest.mark.parametrize(
    "metric",
    [
        *(kind(region=r) for kind in (L1, MAE, PSNR, NCC, SSIM) for r in ("hole", "ring")),
        *(SSIM(region="hole", border=edge) for edge in ("zero", "reflect")),
        PSNR(region="ring", ring=3, pooling="channel"),
        Seam(),
        ColourShift(ring=5),
    ],
    ids=repr,
)
def test_scores_of_holes_do_not_depend_on_the_work_that_is_left_out(metric, monkeypatch):
    """Of holes inside, at a border, in two pictures at once, and of one pixel; and of none."""
    rng = np.random.default_rng(3)
    shape = (2, 3, 47, 61)
    truth, filled = (
        torch.from_numpy(rng.integers(0, 256, shape, np.uint8)).clone() for _ in range(2)
    )
    masks = [torch.zeros(2, 1, 47, 61, dtype=torch.bool) for _ in range(4)]
    masks[0][0, 0, 20:31, 14:40] = masks[0][1, 0, 25:33, 20:30] = True
    masks[1][:, :, :9, 50:] = masks[1][0, 0, 40:, :3] = True
    masks[2][:, :, 30, 7] = True
    parts = [metric.score(filled, truth, mask) for mask in masks]
    for module in (border, pixels, ssim):
        for name in ("bounds_of", "crop_around"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, WHOLE[name])
    for part, mask in zip(parts, masks, strict=True):
        torch.testing.assert_close(part, metric.score(filled, truth, mask), equal_nan=True)


WHOLE = {  # what the metrics take of an image, without leaving anything out
    "bounds_of": lambda where, *_: tuple(slice(0, side) for side in where.shape[-2:]),
    "crop_around": lambda mask, _, *images: [*images, mask],
}
