"""Weights of published backbones, by name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

from ..files import pretrained
from .pickles import load_pickle

Weights = Mapping[str, Tensor]
stand_ins: ContextVar[list[str] | None] = ContextVar("stand_ins", default=None)


def load_backbone(name: str, stand_in: Callable[[], Weights] | None = None) -> Weights:
    """Return the state dict of the backbone `name`, such as "vgg16"; downloads it if allowed.

    `stand_in` makes weights of the same shapes, which are used within `stand_in_backbones`. Raises
    `WeightsError`, which says which file to put where, if the file cannot be found or is damaged.
    """
    requested = stand_ins.get()
    if requested is not None and stand_in is not None:
        requested.append(name)
        return stand_in()
    return load_pickle(pretrained.backbone_path(name))


def weights_stand_in() -> bool:
    """Whether networks are being built only to count and to plan, so that weights do not matter."""
    return stand_ins.get() is not None


@contextmanager
def stand_in_backbones() -> Iterator[list[str]]:
    """Let networks be built without published weights, to count and to plan.

    Within it `load_backbone` reads and downloads nothing: it returns stand-ins, and adds the names
    of the backbones to the list that this yields.
    """
    requested: list[str] = []
    token = stand_ins.set(requested)
    try:
        yield requested
    finally:
        stand_ins.reset(token)
