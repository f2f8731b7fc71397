"""What a recipe may say, as typed settings."""

from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from ..api.settings import Settings
from ..api.stages import Share, Stage

Zoom = Annotated[float, Field(gt=0.5)]  # a mirror reaches no farther


class Named(Settings):
    """A plugin by name, and its own settings, which only the plugin can check."""

    kind: str
    model_config = ConfigDict(extra="allow")


class Data(Settings):
    """Which images, and how they come to one size. Where they lie is `--data`."""

    train: Named = Named(kind="files")
    val: Named | None = None  # None: no validation
    val_count: NonNegativeInt = 200  # images of it that a validation looks at; 0: all
    size: PositiveInt = 256
    fit: Literal["cover", "stretch", "native", "buckets", "margins"] = "cover"
    zoom: tuple[Zoom, Zoom] = (1.0, 1.0)  # of cover, before the crop; under 1 with mirrored margins
    aspects: tuple[PositiveFloat, PositiveFloat] = (3 / 4, 16 / 9)  # of margins: height / width
    square: Share = 0.25  # of margins: the batches that are square
    decode: Literal["fast", "exact"] = "fast"  # of training images: see engine/data.py
    flip: bool = True  # left and right, half of the time
    per_mask: PositiveInt = 1  # samples in a row under one mask, for who does much work for each


VALIDATION_METRICS = (
    Named.model_validate({"kind": "psnr", "region": "hole"}),
    Named.model_validate({"kind": "l1", "region": "hole"}),
    "ssim",
)


class Every(Settings):
    """Steps between two of each."""

    log: PositiveInt = 50
    validate_: PositiveInt = Field(default=5000, alias="validate")
    save: PositiveInt = 5000
    model_config = ConfigDict(serialize_by_alias=True)


class Keep(Settings):
    """Which states and weights a run folder keeps."""

    last: PositiveInt = 2
    best: str | None = None  # the metric by which the best weights are kept; None: the first


class Ema(Settings):
    """The averaged network: what is validated, and what the weights file holds."""

    decay: Share = 0.999  # a step; 0: no averaging
    warmup: bool = True  # at step n at most (1 + n) / (10 + n)


class Section(Settings):
    """What only one architecture needs; checked by its own classes."""

    model: dict[str, Any] = Field(default_factory=dict)
    task: dict[str, Any] = Field(default_factory=dict)
    stages: dict[str, Stage] = Field(default_factory=dict)


class Recipe(Settings):
    """Data and schedule of a training, for one or several architectures."""

    summary: str
    data: Data = Data()
    masks: Named
    val_masks: Named | None = None  # None: drawn like those of the training
    batch: PositiveInt | None = None  # images a step, over all processes and accumulations
    accumulate: PositiveInt = 1  # parts in which a batch is computed, to save memory
    steps: NonNegativeInt | None = None  # of each stage; None, as of batch: the task's own
    precision: Literal["full", "bf16", "fp16"] = "full"
    seed: NonNegativeInt = 0
    metrics: tuple[str | Named, ...] = VALIDATION_METRICS  # of a validation
    every: Every = Every()
    keep: Keep = Keep()
    ema: Ema = Ema()
    architectures: dict[str, Section] = Field(default_factory=dict)
