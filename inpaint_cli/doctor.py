"""The libraries, devices and plugins of this machine, and what is broken."""

import os
import platform
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from . import registry
from .errors import PluginError

LIBRARIES = (
    "inpaint-cli",
    "torch",
    "torchvision",
    "accelerate",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scikit-image",
    "spandrel",
    "safetensors",
    "pydantic",
    "click",
    "lpips",
    "pytorch-fid",
)


def examine_machine() -> dict[str, Any]:
    """Everything a bug report should say, as plain values; imports every plugin."""
    plugins, broken = [], []
    for kind in registry.KINDS:
        for name, points in registry.find_plugins(kind).items():
            at = {
                "kind": kind,
                "name": name,
                "from": ", ".join(map(registry.plugin_origin, points)),
            }
            plugins.append(at)
            try:
                registry.load_plugin(kind, name)
            except PluginError as error:
                cause = error.__cause__
                trace = "".join(traceback.format_exception(cause)) if cause else ""
                broken.append({**at, "error": str(error), "traceback": home_as_tilde(trace)})
    return {
        "versions": {"python": platform.python_version()} | library_versions(),
        "system": platform.platform(),
        "devices": list_devices(),
        "folders": describe_folders(),
        "plugins": plugins,
        "broken": broken,
    }


def library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def list_devices() -> list[str]:
    """Each device that torch can use, fastest kind first."""
    names = []
    for n in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(n)
        names.append(f"cuda:{n} {gpu.name}, {gpu.total_memory / 2**30:.1f} GiB")
    if torch.backends.mps.is_available():
        names.append("mps")
    return [
        *names,
        f"cpu {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
    ]


def describe_folders() -> dict[str, str]:
    """Return the folders of settings, weights and caches, and how much is in them."""
    from .models import choose as models

    places = {f"weights {n}": f for n, f in enumerate(models.weights_folders(), 1)}
    places["torch hub"] = Path(torch.hub.get_dir())
    return {
        name: home_as_tilde(f"{path} ({describe_content(path)})") for name, path in places.items()
    }


def describe_content(folder: Path) -> str:
    if not folder.is_dir():
        return "not there"
    files = [f for f in folder.rglob("*") if f.is_file()]
    return f"{len(files)} files, {sum(f.stat().st_size for f in files) / 2**20:.0f} MiB"


def home_as_tilde(text: str) -> str:
    return text.replace(os.path.expanduser("~"), "~")


def report_text(report: dict[str, Any]) -> str:
    """`report` for a person: first what is broken, then the block for a bug report."""
    lines = []
    for plugin in report["broken"]:
        lines += [f"BROKEN {plugin['kind']} {plugin['name']}: {plugin['error']}"]
        lines += [f"    {line}" for line in plugin["traceback"].splitlines()]
    lines += ["-------- paste this into a bug report --------"]
    lines += [f"{name}: {version}" for name, version in report["versions"].items()]
    lines += [f"system: {report['system']}"]
    lines += [f"device: {device}" for device in report["devices"]]
    lines += [f"{name}: {where}" for name, where in report["folders"].items()]
    ours = f"inpaint-cli {report['versions']['inpaint-cli']}"
    strangers = [p for p in report["plugins"] if p["from"] != ours]
    lines += [f"plugins: {len(report['plugins'])}, {len(report['broken'])} broken"]
    lines += [f"plugin: {p['kind']} {p['name']} from {p['from']}" for p in strangers]
    lines += ["----------------------------------------------"]
    return "\n".join(lines)
