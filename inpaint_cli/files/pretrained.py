"""Published backbones: the file of each, and its place on this machine. No torch.

A file is looked for in the folder that `--weights-dir` or `$INPAINT_WEIGHTS_DIR` names, then in
the caches of torch hub and Hugging Face, which other programs fill too; failing that it is
downloaded, unless `--offline` or `$INPAINT_OFFLINE` forbids it. Whatever the way, its SHA-256 is
verified. A missing backbone is a `WeightsError`: nothing is ever put in its place.
"""

import os
from pathlib import Path

from ..errors import WeightsError
from .fetch import PublishedFile, fetch_file, find_file, is_offline, torch_hub_dir, verify_file

TORCH_URL = "https://download.pytorch.org/models"


def torch_file(name: str, size: int, sha256: str) -> PublishedFile:
    """A file as torch hub names it: it ends in the first eight digits of its SHA-256."""
    file = f"{name}-{sha256[:8]}.pth"
    return PublishedFile(file, f"{TORCH_URL}/{file}", size, sha256)


BACKBONES = {
    "alexnet": torch_file(
        "alexnet-owt",
        244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    "inception-fid": PublishedFile(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        95_628_359,
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "resnet18": torch_file(
        "resnet18", 46_830_571, "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
    ),
    "resnet34": torch_file(
        "resnet34", 87_319_819, "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"
    ),
    "resnet50": torch_file(
        "resnet50", 102_530_333, "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"
    ),
    "vgg16": torch_file(
        "vgg16", 553_433_881, "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
    ),
    "vgg19": torch_file(
        "vgg19", 574_673_361, "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"
    ),
}


class BackboneError(WeightsError):
    """A published backbone, called `name`, is not on this machine."""

    def __init__(self, message: str = "", *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


def backbone_path(name: str) -> Path:
    """Return the verified file of the backbone `name`, downloaded where that is allowed.

    Raises `BackboneError`, which says what to put where, if there is none.
    """
    file = BACKBONES[name]
    if found := find_backbone(name):
        return verify_file(found, file)
    folders = backbone_dirs()
    missing = (
        f"{name} needs {file.name}, which is not in {' or '.join(map(str, folders))}: download"
        f" {file.url} and put it there, or name its folder with --weights-dir"
    )
    if is_offline():
        raise BackboneError(missing, name=name)
    try:
        return fetch_file(file, folders[0])
    except WeightsError as error:
        raise BackboneError(f"{missing} (the download failed: {error})", name=name) from error


def find_backbone(name: str) -> Path | None:
    """Return the file of the backbone `name`, not verified; None if it is not on this machine."""
    return find_file(BACKBONES[name], backbone_dirs())


def backbone_dirs() -> list[Path]:
    """Return the folders in which backbones are looked for; a download goes to the first."""
    own = os.environ.get("INPAINT_WEIGHTS_DIR")
    return [Path(own), torch_hub_dir()] if own else [torch_hub_dir()]
