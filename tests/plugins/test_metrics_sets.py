"""Metrics of sets, and metrics that other packages define, against formulas written apart."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from metric_pictures import box, noisy, photo, score, tensor
from PIL import Image
from torch import nn
from torch.nn import functional as F

from inpaint_cli.api.metrics import Features
from inpaint_cli.errors import InpaintError, RecipeError
from inpaint_cli.evaluation.functions import metric
from inpaint_cli.evaluation.protocols import read_protocol
from inpaint_plugins.metrics import dists, inception, kernel, quality
from inpaint_plugins.metrics.frechet import FID, frechet_distance
from inpaint_plugins.metrics.kernel import KID
from inpaint_plugins.metrics.manifold import Precision, Recall
from inpaint_plugins.metrics.ssim import MSSSIM, SCALE_WEIGHTS, SSIM


def pairs(count, width, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((count, width)).astype(np.float32)
    filled = (truth + rng.normal(0.1, 0.5, truth.shape)).astype(np.float32)
    return filled, truth


def features(*sets):
    return [Features(rows, np.arange(len(rows))) for rows in sets]


def discrepancy(x, y):
    """The unbiased estimate, term by term."""
    m = len(x)
    inner = [(a @ b / len(a) + 1) ** 3 for s in (x, y) for i, a in enumerate(s)
             for j, b in enumerate(s) if i != j]  # fmt: skip
    across = [(a @ b / len(a) + 1) ** 3 for a in x for b in y]
    return sum(inner) / (m * (m - 1)) - 2 * sum(across) / m**2


def test_kid_is_the_mean_over_the_subsets_that_torch_fidelity_draws(monkeypatch):
    filled, truth = pairs(30, 6)
    rng = np.random.RandomState(2020)
    values = []
    for _ in range(8):
        i, j = (rng.choice(30, 10, replace=False) for _ in range(2))
        values.append(discrepancy(filled[i].astype(float), truth[j].astype(float)))
    for large in (4096, 10):  # by all pairs at once, and by each subset
        monkeypatch.setattr(kernel, "LARGE_SET", large)
        own = KID(subset=10, subsets=8).estimate(*features(filled, truth))
        assert own.value == pytest.approx(np.mean(values), abs=1e-9)
        assert own.deviation == pytest.approx(np.std(values), abs=1e-9)
    halves = KID(subset=30).estimate(*features(filled, truth))
    assert halves.deviation > 0, "a set no larger than a subset has a deviation too"
    assert np.isnan(KID().distance(*features(filled[:3], truth[:3])))


def test_precision_and_recall_count_what_lies_in_the_balls_of_others():
    rng = np.random.default_rng(3)
    truth = rng.standard_normal((40, 4)).astype(np.float32)
    filled = (0.3 * rng.standard_normal((30, 4)) + 0.5).astype(np.float32)

    def share(inner, outer):
        reach = [sorted(np.linalg.norm(outer - row, axis=1))[3] for row in outer]
        inside = [any(np.linalg.norm(outer - row, axis=1) <= reach) for row in inner]
        return 100 * np.mean(inside)

    both = features(filled, truth)
    expected = share(filled, truth), share(truth, filled)
    assert Precision().distance(*both) == pytest.approx(expected[0])
    assert Recall().distance(*both) == pytest.approx(expected[1])
    assert expected[0] > 90 > 60 > expected[1], "narrow fills are precise, and miss most photos"


def test_the_interval_of_fid_is_as_wide_as_its_values_scatter():
    """Also where the sets are smaller than the number of features."""
    for count, width in ((40, 60), (200, 12)):
        sets = [features(*pairs(count, width, seed)) for seed in range(40)]
        spread = np.std([frechet_distance(*both) for both in sets])
        own = [FID().estimate(*both) for both in sets[:20]]
        widths = np.array([e.high - e.low for e in own])
        assert widths.mean() == pytest.approx(2 * 1.96 * spread, rel=0.35)
        assert all(e.low < e.value < e.high for e in own)


def test_a_bootstrap_of_fid_would_not_hold_its_value():
    both = pairs(40, 60, 0)
    own, rng = FID().estimate(*features(*both)), np.random.default_rng(0)
    picks = [rng.integers(0, 40, 40) for _ in range(40)]
    resampled = [frechet_distance(*features(*(rows[pick] for rows in both))) for pick in picks]
    assert np.quantile(resampled, 0.025) > own.high


def test_clean_resizing_is_pillows_of_each_channel_without_rounding(monkeypatch):
    picture = photo(40, 52)
    expected = [
        np.asarray(Image.fromarray(picture[..., c].astype(np.float32)).resize((299, 299), 3))
        for c in range(3)
    ]
    expected = (np.stack(expected).clip(0, 255) - 128) / 128
    small = inception.resize_clean(tensor(picture).float() / 255)
    assert np.abs(small[0].numpy() - expected).max() < 1e-5
    plain = inception.resize_bilinear(tensor(picture).float() / 255)
    assert (small - plain).abs().max() > 0.01
    names = {FID().extractor, FID(resize="clean").extractor, FID(weights="random").extractor}
    assert len(names) == 3, "features of one convention are not taken for those of another"
    assert FID(resize="clean").note() == "clean"
    seen = []
    monkeypatch.setattr(inception, "inception_network", lambda weights: nn.Identity())
    monkeypatch.setattr(inception, "inception_features", lambda net, x: seen.append(x))
    FID(resize="clean").features(tensor(picture))
    assert torch.equal(seen[0], small)


def windowed(x, y):
    """Luminance and contrast of windows inside planes [3, H, W], by plain convolutions."""
    line = torch.exp(-((torch.arange(11.0).double() - 5) ** 2) / 4.5)
    window = torch.outer(line, line).expand(3, 1, 11, 11) / line.sum() ** 2
    mx, my, xx, yy, xy = (
        F.conv2d(z[None], window, groups=3)[0] for z in (x, y, x * x, y * y, x * y)
    )
    contrast = (2 * (xy - mx * my) + 9e-4) / (xx - mx**2 + yy - my**2 + 9e-4)
    return (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4), contrast


def test_ssim_with_reflected_borders_is_that_of_the_mirrored_pictures():
    truth = photo()
    filled = noisy(truth)
    planes = [F.pad(tensor(x).double() / 255, (5, 5, 5, 5), "reflect")[0] for x in (filled, truth)]
    luminance, contrast = windowed(*planes)
    own = score(SSIM(border="reflect"), filled, truth)
    assert own == pytest.approx(float((luminance * contrast).mean()), abs=1e-9)
    assert own != pytest.approx(score(SSIM(), filled, truth), abs=1e-4)
    hole = box(64, 72)
    region = score(SSIM(border="reflect", region="hole"), filled, truth, hole)
    expected = (luminance * contrast)[hole.expand(1, 3, -1, -1)[0]].mean()
    assert region == pytest.approx(float(expected), abs=1e-9)
    assert np.isnan(score(SSIM(border="reflect"), filled[:5], truth[:5], hole[..., :5, :]))


def test_ms_ssim_multiplies_the_contrasts_of_five_scales():
    truth = photo(181, 200)
    filled = noisy(truth, 60)
    x, y = (tensor(image).double()[0] / 255 for image in (filled, truth))
    expected = torch.ones(3).double()
    for n, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        luminance, contrast = windowed(x, y)
        term = contrast * luminance if n == 4 else contrast
        expected *= term.mean((1, 2)) ** weight
        x, y = (F.avg_pool2d(z[None], 2)[0] for z in (x, y))
    assert score(MSSSIM(), filled, truth) == pytest.approx(float(expected.mean()), abs=1e-9)
    assert np.isnan(score(MSSSIM(), filled[:175], truth[:175], box(175, 200)))
    assert sum(SCALE_WEIGHTS) == pytest.approx(1, abs=1e-4)


def test_dists_takes_the_weights_of_its_package(tmp_path, monkeypatch):
    dists.term_weights.cache_clear()  # another test of this process may have given some
    with pytest.raises(InpaintError, match=r"pip install 'inpaint-cli\[dists\]'"):
        dists.term_weights()
    package = tmp_path / "DISTS_pytorch"
    package.mkdir()
    (package / "__init__.py").touch()
    values = {key: torch.rand(1, 1475, 1, 1) for key in ("alpha", "beta")}
    torch.save(values, package / "weights.pt")
    monkeypatch.syspath_prepend(tmp_path)
    own = dists.DISTS(weights="random")
    truth = photo()
    try:
        assert score(own, truth, truth) == pytest.approx(0, abs=1e-5)
        assert 0 < score(own, noisy(truth, 20), truth) < score(own, noisy(truth, 90), truth) < 1
        alpha = dists.term_weights()[:3]
        assert alpha == pytest.approx(
            values["alpha"].flatten()[:3] / sum(v.sum() for v in values.values())
        )
    finally:
        dists.term_weights.cache_clear()


class Sharpness(nn.Module):
    """What pyiqa returns for a metric without reference."""

    lower_better, metric_mode = False, "NR"

    def forward(self, image):
        assert 0 <= image.min() <= image.max() <= 1
        return image.diff(dim=-1).abs().mean((1, 2, 3))


@pytest.fixture
def pyiqa(monkeypatch):
    package = SimpleNamespace(
        list_models=lambda: ["fid", "sharp"], create_metric=lambda name, device: Sharpness()
    )
    monkeypatch.setitem(sys.modules, "pyiqa", package)
    yield package
    quality.pyiqa_metric.cache_clear()


def test_the_metrics_of_pyiqa_have_their_names(pyiqa):
    sharp = metric("pyiqa:sharp")
    truth = photo()
    assert sharp(noisy(truth), truth) > sharp(truth, truth) > 0
    assert sharp.metric.better == "higher"
    with pytest.raises(InpaintError, match="no metric 'blunt'; it has: fid, sharp"):
        metric("pyiqa:blunt")(truth, truth)
    with pytest.raises(InpaintError, match="scores whole sets"):
        metric("pyiqa:fid")(truth, truth)


def test_a_metric_whose_package_is_missing_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(InpaintError, match=r"pyiqa:musiq needs.*'inpaint-cli\[pyiqa\]'"):
        metric("pyiqa:musiq")(photo(), photo())
    protocol = tmp_path / "mine.yaml"
    protocol.write_text("summary: Mine\nmetrics:\n  musiq: {kind: 'pyiqa:musiq'}\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml:3: .*needs the package pyiqa"):
        read_protocol(str(protocol))


def test_a_metric_is_a_function_of_photos(tmp_path):
    truth = photo()
    filled, hole = noisy(truth), box(64, 72)[0, 0].numpy()
    Image.fromarray(truth).save(tmp_path / "a.png")
    own = metric("ssim", region="hole")
    expected = score(SSIM(region="hole"), filled, truth)
    assert own(filled, truth, hole=hole) == pytest.approx(expected, abs=1e-12)
    assert own(Image.fromarray(filled), tmp_path / "a.png", hole=hole) == own(
        filled, truth, hole=hole
    )
    assert own(filled / 255, truth, hole=hole) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(own(filled, truth)), "without a hole there is no score of it"
    pooled = metric("psnr", pooling="set")([filled, truth], [truth, truth])
    assert pooled == pytest.approx(metric("psnr")(filled, truth) + 10 * np.log10(2))
    sets = metric("fid", weights="random")
    assert sets([truth, filled], [truth, filled]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(InpaintError, match="the fill is 72x60, but the photo is 72x64"):
        own(filled[:60], truth)
    with pytest.raises(InpaintError, match="2 fills, 1 photos and 1 holes"):
        own([filled, filled], truth)
    with pytest.raises(RecipeError, match=r"metric 'ssim': bordr: no setting named 'bordr'; did"):
        metric("ssim", bordr="zero")
    with pytest.raises(RecipeError, match="did you mean 'ssim'"):
        metric("sssim")
