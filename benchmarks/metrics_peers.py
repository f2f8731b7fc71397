"""Metrics against the packages that define them, on the same features or pictures.

python benchmarks/metrics_peers.py [FOLDER]

The packages are installed into FOLDER, by default a temporary one; the project does not need them.
Networks have the same random weights on both sides.
"""

import importlib
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from metrics import pictures
from table import record

from inpaint_cli.api.metrics import Features
from inpaint_plugins.metrics import dists, inception
from inpaint_plugins.metrics.frechet import frechet_distance
from inpaint_plugins.metrics.kernel import KID
from inpaint_plugins.metrics.manifold import Precision, Recall
from inpaint_plugins.metrics.ssim import MSSSIM, SSIM

PEERS = ("torch-fidelity==0.4.0", "clean-fid==0.1.35", "torchmetrics==1.9.0", "dists-pytorch==0.1",
         "pytorch-msssim==1.0.0", "lightning-utilities", "requests")  # fmt: skip
Row = tuple[str, str, float, float]


def install_peers(folder: Path) -> None:
    """Put the packages into `folder`, without what they need, which is here."""
    pip = ["uv", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PEERS]
    subprocess.run(pip, check=True)
    sys.path.append(str(folder))


def sets(count: int = 1500, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) / 8
    return (truth + rng.normal(0.1, 0.5, truth.shape)).astype(np.float32), truth.astype(np.float32)


def compare_sets() -> list[Row]:
    fidelity = {
        name: importlib.import_module(f"torch_fidelity.metric_{name}")
        for name in ("kid", "fid", "prc")
    }
    cleanfid = importlib.import_module("cleanfid.fid")
    filled, truth = sets()
    ours = [Features(rows, np.arange(len(rows))) for rows in (filled, truth)]
    theirs = [torch.from_numpy(rows).double() for rows in (filled, truth)]
    options = {"verbose": False, "rng_seed": 2020, "kid_subsets": 100, "kid_subset_size": 1000,
               "kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None,
               "kid_kernel_poly_coef0": 1, "prc_neighborhood": 3, "prc_batch_size": 500,
               "save_cpu_ram": False}  # fmt: skip
    kid = fidelity["kid"].kid_features_to_metric(*theirs, **options)
    own = KID().estimate(*ours)
    prc = fidelity["prc"].prc_features_to_metric(*theirs, **options)
    moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in map(np.float64, (filled, truth))]
    statistics = [{"mu": mean, "sigma": covariance} for mean, covariance in moments]
    fid = fidelity["fid"].fid_statistics_to_metric(*statistics, verbose=False)
    clean = cleanfid.frechet_distance(*moments[0], *moments[1])
    np.random.seed(0)
    distance = frechet_distance(*ours)
    return [
        ("KID", "torch-fidelity", own.value, kid["kernel_inception_distance_mean"]),
        ("KID, deviation", "torch-fidelity", own.deviation, kid["kernel_inception_distance_std"]),
        ("KID of one subset", "clean-fid", *kid_of_subset(cleanfid)),
        ("FID", "torch-fidelity", distance, fid["frechet_inception_distance"]),
        ("FID", "clean-fid", distance, float(clean)),
        ("precision", "torch-fidelity", Precision().distance(*ours), 100 * prc["precision"]),
        ("recall", "torch-fidelity", Recall().distance(*ours), 100 * prc["recall"]),
    ]


def kid_of_subset(cleanfid) -> tuple[float, float]:
    """Return our KID of one subset of 1,000 of 1,001 rows, and clean-fid's of the same rows."""
    both = [rows[:1001] for rows in sets()]
    ours = KID(subsets=1).distance(*(Features(rows, np.arange(1001)) for rows in both))
    rng = np.random.RandomState(2020)
    drawn = [rows[rng.choice(1001, 1000, replace=False)].astype(float) for rows in both]
    return ours, cleanfid.kernel_distance(*drawn, num_subsets=1)


def compare_pictures() -> list[Row]:
    truth, filled = pictures()
    pair = [torch.from_numpy(x).permute(2, 0, 1)[None] for x in (filled, truth)]
    floats = [x.double() / 255 for x in pair]
    nothing = torch.zeros(1, 1, 256, 256, dtype=torch.bool)
    torchmetrics = importlib.import_module("torchmetrics.functional.image")
    msssim = importlib.import_module("pytorch_msssim")
    theirs = torchmetrics.structural_similarity_index_measure(*floats, data_range=1.0)
    many = torchmetrics.multiscale_structural_similarity_index_measure(*floats, data_range=1.0)
    resize = importlib.import_module("cleanfid.resize").build_resizer("clean")
    own = inception.resize_clean(pair[1].float() / 255)[0].permute(1, 2, 0).numpy() * 128 + 128
    gap = float(np.abs(own - resize(truth)).max())
    mirrored = float(SSIM(border="reflect").score(*pair, nothing))
    multi = float(MSSSIM().score(*pair, nothing))
    return [
        ("SSIM, border reflect", "torchmetrics", mirrored, float(theirs)),
        ("MS-SSIM", "pytorch-msssim", multi, float(msssim.ms_ssim(*floats, data_range=1.0))),
        ("MS-SSIM, reflected border", "torchmetrics", multi, float(many)),
        ("resize clean, largest gap in levels", "clean-fid", gap, 0.0),
        dists_row(pair),
    ]  # fmt: skip


def dists_row(pair: list[torch.Tensor]) -> Row:
    package = importlib.import_module("DISTS_pytorch")
    theirs = package.DISTS(load_weights=False)
    weights = torch.load(Path(package.__file__).with_name("weights.pt"), weights_only=True)
    theirs.alpha.data, theirs.beta.data = weights["alpha"], weights["beta"]
    state = dists.dists_network("random").layers.state_dict()
    for stage in (theirs.stage1, theirs.stage2, theirs.stage3, theirs.stage4, theirs.stage5):
        for number, layer in stage.named_children():
            layer.load_state_dict(
                {k: state[f"{number}.{k}"] for k in layer.state_dict() if k != "filter"}
                | {k: v for k, v in layer.state_dict().items() if k == "filter"}
            )
    own = dists.DISTS(weights="random").score(*pair, pair[0][:, :1] > 255)
    return "DISTS", "dists-pytorch", float(own), float(theirs(*(x.float() / 255 for x in pair)))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp())
    install_peers(folder)
    vgg = importlib.import_module("torchvision.models")
    plain = vgg.vgg16
    vgg.vgg16 = lambda **_: plain(weights=None)  # its published weights are not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [*compare_sets(), *compare_pictures()]
    lines = [f"| {what} | {peer} | {ours:.9g} | {theirs:.9g} | {abs(ours - theirs):.1g} |"
             for what, peer, ours, theirs in rows]  # fmt: skip
    head = "| what | peer | ours | peer's | difference |\n| --- | --- | ---: | ---: | ---: |"
    packages = ", ".join(name for name in PEERS if "=" in name)
    record("metrics-peers", "Metrics beside the packages that define them",
           "\n".join([f"{packages}.\n", head, *lines]),
           command="python benchmarks/metrics_peers.py")  # fmt: skip
