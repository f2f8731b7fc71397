"""The settings of a recipe. No torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from ..api.stages import Share, Stage
from ..settings import Count, PositiveCount, Settings

Resize = Literal["antialias", "opencv", "nearest"]
Zoom = Annotated[float, Field(gt=0.5)]  # mirrored margins are no larger than the image


class Named(Settings):
    """A plugin by name, with its own settings, which only the plugin can check."""

    kind: str = Field(description="Name of the plugin; `pyiqa:musiq` also sets its `name`.")
    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def split_name(cls, values: Any) -> Any:
        """Take "pyiqa:musiq" apart."""
        kind = values.get("kind") if isinstance(values, Mapping) else None
        if not isinstance(kind, str) or ":" not in kind:
            return values
        kind, _, name = kind.partition(":")
        return {**values, "kind": kind, "name": name}


class Data(Settings):
    """The images, and how they are brought to one size. Their place is `--data`."""

    train: Named = Field(default=Named(kind="files"), description="Data set of the training.")
    val: Named | None = Field(
        default=None,
        description="Data set of the validation; null: no scores. Of the kind of `train`, it has "
        "all settings of `train` but `split` that it does not set.",
    )
    val_count: Count = Field(
        default=200,
        description="Number of images that a validation scores, from the first; 0: all.",
    )
    size: int = Field(
        default=256, ge=1, le=16_384, description="Height and width of the training images."
    )
    fit: Literal["cover", "centre", "stretch", "native", "buckets", "margins"] = Field(
        default="cover",
        description="How an image comes to its size: scaled to cover the square and cropped at "
        "random (cover) or in the centre, stretched to it, cropped at its own scale (native), "
        "scaled to the nearest of several aspect ratios (buckets), or cropped to a random aspect "
        "ratio per batch (margins).",
    )
    zoom: tuple[Zoom, Zoom] = Field(
        default=(1.0, 1.0),
        description="Range of a random scale factor after fit cover or centre, before the crop; "
        "under 1 the margins are filled by mirroring.",
    )
    resize: Resize = Field(
        default="antialias",
        description="Filter of the scaling: bilinear with antialiasing, OpenCV's bilinear one "
        "without (opencv), or the nearest pixel.",
    )
    aspects: tuple[PositiveFloat, PositiveFloat] = Field(
        default=(3 / 4, 16 / 9), description="Range of height / width with fit margins."
    )
    square: Share = Field(default=0.25, description="Share of square batches with fit margins.")
    decode: Literal["fast", "exact"] = Field(
        default="fast",
        description="Decode large training JPEGs at reduced size (fast), or always whole (exact).",
    )
    flip: bool = Field(default=True, description="Mirror half of the images, left to right.")
    per_mask: PositiveCount = Field(
        default=1, description="Consecutive samples that share a mask, for slow mask generators."
    )

    @field_validator("val")
    @classmethod
    def inherit(cls, val: Named | None, info: ValidationInfo) -> Named | None:
        train: Named | None = info.data.get("train")
        if val is None or train is None or val.kind != train.kind:
            return val
        settings = {k: v for k, v in (train.model_extra or {}).items() if k != "split"}
        return Named.model_validate(settings | val.model_dump())


VALIDATION_METRICS = (
    Named.model_validate({"kind": "psnr", "region": "hole"}),
    Named.model_validate({"kind": "l1", "region": "hole"}),
    "ssim",
)


class Every(Settings):
    """Steps between two events."""

    log: PositiveCount = Field(default=50, description="Steps between two lines of the log.")
    validate_: PositiveCount = Field(
        default=5000, alias="validate", description="Steps between two validations."
    )
    save: PositiveCount = Field(default=5000, description="Steps between two saved states.")
    model_config = ConfigDict(serialize_by_alias=True)


class Keep(Settings):
    """The states and weights that a run folder keeps."""

    last: PositiveCount = Field(default=2, description="Number of states and weights to keep.")
    best: str | None = Field(
        default=None,
        description="Metric that selects best.safetensors; null: the first of `metrics`.",
    )


class Ema(Settings):
    """The averaged network, which is validated and saved as weights."""

    decay: Share = Field(
        default=0.999,
        description="Share of the average that is kept at each step; 0: no averaging.",
    )
    warmup: bool = Field(
        default=True, description="Limit the decay to (1 + n) / (10 + n) at step n."
    )


class Compute(Settings):
    """How a device computes the training. Each of these changes the last bits of results."""

    tf32: bool = Field(
        default=False,
        description="Multiply float32 in TF32 on GPUs that have it: faster, with 10 bits of "
        "fraction for 23.",
    )
    channels_last: bool = Field(
        default=False,
        description="Keep images and weights of convolutions in the order of pixels, which tensor "
        "cores and CPUs prefer.",
    )
    autotune: bool = Field(
        default=False,
        description="Let cuDNN try which of its convolutions is fastest for each shape; two runs "
        "may choose otherwise.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the network with torch.compile; where that fails it runs as it is, "
        "with a note.",
    )
    deterministic: bool = Field(
        default=False,
        description="Allow only algorithms that give the same bits in every run on a GPU; slower.",
    )

    @model_validator(mode="after")
    def check_choice(self) -> Self:
        if self.deterministic and self.autotune:
            raise ValueError("deterministic and autotune exclude each other")
        return self


class Section(Settings):
    """Settings for one architecture, checked by its own classes."""

    model: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the network; the weights file holds them."
    )
    task: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the losses and auxiliary networks."
    )
    stages: dict[str, Stage] = Field(
        default_factory=dict, description="Changes of the stages of the training, by name."
    )


class Recipe(Settings):
    """Data and schedule of a training, for one or several architectures."""

    summary: str = Field(description="One line about the recipe, for lists and reports.")
    base: None = Field(
        default=None,
        description="Recipe, by name or path, whose settings hold where this one has none; null in "
        "place of a section leaves it out.",
    )
    papers: dict[str, str] = Field(
        default_factory=dict,
        description="Architectures that this recipe does not train as their papers do, each with "
        "the recipe that does; named in runs.",
    )
    data: Data = Field(default=Data(), description="The images.")
    masks: Named = Field(description="Mask generator of the training.")
    val_masks: Named | None = Field(
        default=None, description="Mask generator of the validation; null: that of the training."
    )
    batch: int | None = Field(
        ge=1,
        le=65_536,
        default=None,
        description="Images per step, over all processes and accumulations; null: the task's.",
    )
    accumulate: PositiveCount = Field(
        default=1, description="Number of parts in which a batch is computed, to save memory."
    )
    steps: Count | None = Field(
        default=None, description="Steps of each stage that sets none itself; null: the task's."
    )
    precision: Literal["full", "bf16", "fp16"] = Field(
        default="full", description="Precision of the training; fp16 needs CUDA."
    )
    compute: Compute = Field(default=Compute(), description="How a device computes.")
    seed: Count = Field(default=0, description="Seed of weights, order of images and masks.")
    metrics: tuple[str | Named, ...] = Field(
        default=VALIDATION_METRICS,
        description="Metrics of a validation: names, or kinds with settings.",
    )
    every: Every = Field(default=Every(), description="Steps between two events.")
    patience: PositiveCount | None = Field(
        default=None,
        description="Validations in a row without a better score, by the metric of `keep.best`, "
        "after which the training ends; null: it takes all steps.",
    )
    keep: Keep = Field(default=Keep(), description="The states and weights to keep.")
    ema: Ema = Field(default=Ema(), description="The averaged network.")
    architectures: dict[str, Section] = Field(
        default_factory=dict, description="Settings for single architectures, by name."
    )
