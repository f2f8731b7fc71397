"""Trackers such as TensorBoard, Weights & Biases or MLflow, by the classes that Accelerate has.

One that is not installed, or fails later, is named once, and the training goes on without it.
"""

import netrc
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import tracking

from ..errors import InpaintError, unknown_name
from ..files.pretrained import is_offline

SERVER_PATIENCE = 3  # seconds for a tracker's server to answer


@dataclass(frozen=True)
class Service:
    """A server to which a tracker sends its runs, and how runs are kept here instead."""

    host: str
    key: str  # environment variable of the user's key
    mode: str  # environment variable that keeps runs here
    offline: str  # its value


SERVICES = {
    "wandb": Service("api.wandb.ai", "WANDB_API_KEY", "WANDB_MODE", "offline"),
    "clearml": Service("api.clear.ml", "CLEARML_API_ACCESS_KEY", "CLEARML_OFFLINE_MODE", "1"),
    "swanlab": Service("api.swanlab.cn", "SWANLAB_API_KEY", "SWANLAB_MODE", "offline"),
}
PATIENCE = {  # by default MLflow waits minutes for a server that is down
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
PROJECT = "inpaint"  # in which a tracker keeps all runs, to compare them
RUN_NAME = {"wandb": "name", "trackio": "name", "mlflow": "run_name"}  # their arguments for it


def check_trackers(names: Sequence[str]) -> None:
    """Raise `InpaintError` where one of `names` is no tracker."""
    for name in names:
        if name not in tracking.LOGGER_TYPE_TO_CLASS:
            raise InpaintError(unknown_name("tracker", name, tracking.LOGGER_TYPE_TO_CLASS))


class Trackers:
    """The trackers `names` of the run in `folder`; `say` is given a sentence for each that fails.

    `settings` are those of the run, which every tracker notes.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        settings: Mapping[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self.say, self.running = say, dict[str, Any]()
        for name in dict.fromkeys(names):
            if find_spec(name) is None and name in tracking.LOGGER_TYPE_TO_CLASS:
                say(f"--track {name}: the package {name} is not installed; training without it")
                continue
            with self.dropping(name):
                self.running[name] = self.start(name, folder, settings)

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> Any:
        """Return the tracker `name`, which keeps its run here unless its server is reachable."""
        service = SERVICES.get(name)
        if service and service.mode not in os.environ and not is_reachable(service):
            os.environ[service.mode] = service.offline
            self.say(f"--track {name}: the run stays on this machine, for {service.host} is not "
                     f"reachable with a key of yours")  # fmt: skip
        for key, value in PATIENCE.items():
            os.environ.setdefault(key, value)
        kind = tracking.LOGGER_TYPE_TO_CLASS[name]
        where = [str(folder)] if kind.requires_logging_directory else []
        options = {RUN_NAME[name]: folder.name} if name in RUN_NAME else {}
        if name == "wandb":
            options["dir"] = str(folder)
        project = PROJECT if options else folder.name
        tracker: Any = kind("tensorboard" if name == "tensorboard" else project, *where, **options)
        if begin := getattr(tracker, "start", None):
            begin()
        tracker.store_init_configuration(dict(settings))
        return tracker

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by their names."""
        self.each(lambda name, tracker: tracker.log(dict(values), step=step))

    def show(self, title: str, picture: Any, step: int) -> None:
        """Log a picture, where the tracker takes any."""
        pixels = np.asarray(picture)

        def send(name: str, tracker: Any) -> None:
            if name == "mlflow":  # whose class of Accelerate takes figures alone
                import_module(name).log_image(pixels, f"{title}/{step:08d}.png")
            elif hasattr(tracker, "log_images"):
                options = {"dataformats": "NHWC"} if name == "tensorboard" else {}
                tracker.log_images({title: pixels[None]}, step=step, **options)

        self.each(send)

    def close(self) -> None:
        """End all runs."""
        self.each(lambda name, tracker: tracker.finish())
        self.running.clear()

    def each(self, work: Callable[[str, Any], None]) -> None:
        """Do `work` with every tracker; one that fails is named, and left out from now on."""
        for name, tracker in [*self.running.items()]:
            with self.dropping(name):
                work(name, tracker)

    def dropping(self, name: str) -> "Dropping":
        return Dropping(self, name)


@dataclass(frozen=True)
class Dropping:
    """A block whose errors end the tracker `name`, not the training."""

    trackers: Trackers
    name: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: Any, _: Any) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        self.trackers.running.pop(self.name, None)
        reason = next(iter(str(error).strip().splitlines()), kind.__name__)
        self.trackers.say(f"--track {self.name}: {reason}; training without it")
        return True


def is_reachable(service: Service) -> bool:
    """Whether the user has a key of `service`, and its server answers."""
    if is_offline() or not has_key(service):
        return False
    try:
        socket.create_connection((service.host, 443), SERVER_PATIENCE).close()
    except OSError:
        return False
    return True


def has_key(service: Service) -> bool:
    """Whether a key is in the environment, or in ~/.netrc, where `wandb login` puts it."""
    if os.environ.get(service.key):
        return True
    with suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc().authenticators(service.host) is not None
    return False
