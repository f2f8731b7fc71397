"""Published backbones: the file of each, and its place on this machine. No torch.

A file is looked for in the folder that `--weights-dir` or `$INPAINT_WEIGHTS_DIR` names, then in
the cache of torch hub, which other programs fill too; failing that it is downloaded, unless
`--offline` or `$INPAINT_OFFLINE` forbids it. Whatever the way, its checksum is verified. A missing
backbone is a `WeightsError`: nothing is ever put in its place.
"""

import hashlib
import os
import shutil
import urllib.request
from pathlib import Path

from ..errors import WeightsError
from .write import atomic_path

TORCH_URL = "https://download.pytorch.org/models"

MEGABYTES = {  # of each file
    "alexnet": 233,
    "inception-fid": 91,
    "resnet34": 83,
    "resnet50": 98,
    "vgg16": 528,
    "vgg19": 548,
}

# As torch hub names files, each ends in the first eight digits of its SHA-256.
BACKBONES = {
    "alexnet": f"{TORCH_URL}/alexnet-owt-7be5be79.pth",
    "inception-fid": "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    "resnet34": f"{TORCH_URL}/resnet34-b627a593.pth",
    "resnet50": f"{TORCH_URL}/resnet50-0676ba61.pth",
    "vgg16": f"{TORCH_URL}/vgg16-397923af.pth",
    "vgg19": f"{TORCH_URL}/vgg19-dcbb9e9d.pth",
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
    if found := find_backbone(name):
        return verify_hash(found)
    url, folders = BACKBONES[name], backbone_dirs()
    file = url.rpartition("/")[2]
    target = folders[0] / file
    missing = (
        f"{name} needs {file}, which is not in {' or '.join(map(str, folders))}: download {url} "
        f"and put it there, or name its folder with --weights-dir"
    )
    if os.environ.get("INPAINT_OFFLINE", "0") not in ("", "0"):
        raise BackboneError(missing, name=name)
    with atomic_path(target) as temporary:
        try:
            download_file(url, temporary)
        except OSError as error:
            raise BackboneError(f"{missing} (the download failed: {error})", name=name) from error
        verify_hash(temporary, url)
    return target


def find_backbone(name: str) -> Path | None:
    """Return the file of the backbone `name`, not verified; None if it is not on this machine."""
    file = BACKBONES[name].rpartition("/")[2]
    return next((d / file for d in backbone_dirs() if (d / file).is_file()), None)


def backbone_dirs() -> list[Path]:
    """Return the folders in which backbones are looked for; a download goes to the first."""
    own = os.environ.get("INPAINT_WEIGHTS_DIR")
    return [Path(own), torch_hub_dir()] if own else [torch_hub_dir()]


def torch_hub_dir() -> Path:
    """Return the folder of torch hub's checkpoints, by torch's own rules."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub/checkpoints"


def verify_hash(path: Path, source: str = "") -> Path:
    """`path`, if its SHA-256 begins as the name of `source` (default: of `path`) promises."""
    cure = "download it by hand" if source else "delete it and try again"
    source = source or str(path)
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            sha.update(piece)
    promised = Path(source).stem.rpartition("-")[2]
    found = sha.hexdigest()[: len(promised)]
    if found != promised:
        raise WeightsError(
            f"{source} is damaged, or not what its name says: its SHA-256 begins with {found}, not "
            f"{promised}; {cure}"
        )
    return path


def download_file(url: str, target: Path) -> None:
    """Fetch `url` into `target`, with a bar on stderr."""
    from tqdm import tqdm

    with urllib.request.urlopen(url, timeout=30) as answer, target.open("wb") as file:
        size = int(answer.headers.get("Content-Length", 0)) or None
        with tqdm.wrapattr(answer, "read", total=size, desc=url.rpartition("/")[2]) as stream:
            shutil.copyfileobj(stream, file, 1 << 20)
