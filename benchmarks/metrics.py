"""Metrics against their peers: the same numbers, and how much sooner. One thread each.

python benchmarks/metrics.py [ssim psnr fid inception]
"""

import sys
import warnings

import cv2
import numpy as np
import torch
from scipy import linalg
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from table import paired, record

from inpaint_cli.api.metrics import Features
from inpaint_cli.runtime.devices import keep_freed_memory
from inpaint_plugins.metrics import inception
from inpaint_plugins.metrics.frechet import frechet_distance
from inpaint_plugins.metrics.pixels import PSNR
from inpaint_plugins.metrics.ssim import SSIM

BATCH, BATCHES = 8, 8  # as an evaluation goes through a folder


def pictures() -> tuple[np.ndarray, np.ndarray]:
    truth = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).integers(-20, 21, truth.shape)
    return truth, np.clip(truth + noise, 0, 255).astype(np.uint8)


def line(what: str, ours: float, theirs: float, per: int, gap: float) -> str:
    return (
        f"| {what} | {theirs / per * 1e3:.3g} | {ours / per * 1e3:.3g} "
        f"| {theirs / ours:.1f} x | {gap:.1g} |"
    )


def pixels(name: str) -> list[str]:
    truth, filled = (
        np.stack([np.roll(picture, 4 * n, axis=1) for n in range(BATCH * BATCHES)])
        for picture in pictures()
    )
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous() for x in (filled, truth))
    mask = torch.zeros(BATCH, 1, 256, 256, dtype=torch.bool)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    peers = {
        "ssim": lambda x, y: structural_similarity(
            x, y, channel_axis=-1, data_range=255, **gaussian
        ),
        "psnr": lambda x, y: peak_signal_noise_ratio(x, y, data_range=255),
    }
    metric, peer = {"ssim": SSIM(), "psnr": PSNR()}[name], peers[name]

    def ours() -> torch.Tensor:
        batches = zip(a.split(BATCH), b.split(BATCH), strict=True)
        return torch.cat([metric.score(x, y, mask) for x, y in batches])

    def theirs() -> list[float]:
        return [peer(x, y) for x, y in zip(truth, filled, strict=True)]

    seconds = paired(ours, theirs, rounds=9)
    gap = float(np.abs(ours().numpy() - theirs()).max())
    return [line(f"{name.upper()}, 256 px RGB, against scikit-image", *seconds, len(a), gap)]


def fid() -> list[str]:
    lines = []
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(2048, 2048)) / 45 + np.eye(2048)
    for count in (4096, 500):
        sets = [(rng.normal(size=(count, 2048)) @ mixing + s).astype(np.float32) for s in (0, 0.1)]
        ours_in = [Features(rows, np.arange(count)) for rows in sets]

        def peer(sets=sets):
            (m, c), (n, d) = [(x.mean(0), np.cov(x, rowvar=False)) for x in map(np.float64, sets)]
            root = linalg.sqrtm(c @ d)
            return ((m - n) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * np.trace(root).real

        results = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, theirs = paired(
                lambda: results.append(frechet_distance(*ours_in)),  # noqa: B023
                lambda: results.append(peer()),  # noqa: B023
                rounds=1,
            )
        gap = abs(results[-2] / results[-1] - 1)
        what = f"FID of 2 x {count} pictures, against scipy's sqrtm"
        lines.append(line(what, ours, theirs, 1, gap))
    return lines


def features() -> list[str]:
    from pytorch_fid import inception as theirs_module

    net = inception.randomise(inception.inception_layers())
    state = net.state_dict()
    theirs_module.load_state_dict_from_url = lambda url, progress: state
    theirs_net = theirs_module.InceptionV3().eval()
    ours_net = inception.inception_network("random")
    truth, filled = pictures()
    images = torch.from_numpy(np.stack([truth, filled] * 8)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        ours, theirs = paired(
            lambda: inception.inception_features(ours_net, inception.resize_bilinear(images)),
            lambda: theirs_net(images),
            rounds=2,
        )
        expected = theirs_net(images)[0].flatten(1)
        gap = float(
            (inception.inception_features(ours_net, inception.resize_bilinear(images)) - expected)
            .abs()
            .max()
            / expected.abs().max()
        )
    return [line("Inception features, against pytorch-fid", ours, theirs, len(images), gap)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()  # as `inpaint eval` does
    parts = {
        "ssim": lambda: pixels("ssim"),
        "psnr": lambda: pixels("psnr"),
        "fid": fid,
        "inception": features,
    }
    head = (
        "| what | peer, ms | ours, ms | ratio | difference |\n| --- | ---: | ---: | ---: | ---: |"
    )
    chosen = sys.argv[1:] or list(parts)
    rows = [row for name in chosen for row in parts[name]()]
    table = "\n".join([head, *rows])
    if chosen == list(parts):
        record("metrics", "Metrics", table)
    else:
        print(table)
