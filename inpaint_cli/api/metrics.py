"""What a plugin implements to add a metric. It knows neither files nor processes."""

from abc import ABC
from typing import ClassVar, Literal

from .settings import Settings


class Metric(Settings, ABC):
    """A number that says how good a fill is; its fields are the conventions it follows."""

    better: ClassVar[Literal["higher", "lower"]]
