"""Settings of MDRNets and of their training."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from inpaint_cli.api import IrregularWeights, Settings, Share

RegionMerge = Literal["A", "B"]
ClassOrder = Literal["bisenet", "celebamask-hq", "fasseg"]


class MDRNetSettings(Settings):
    """The whole network; `mrem` and `dmm` off are the ablations of the paper's table 2."""

    levels: int = Field(7, ge=1, le=12, description="Levels of the coarse U-Net.")
    coarse_width: int = Field(
        64, ge=1, le=1024, description="Channels of the coarse U-Net's first level."
    )
    width: int = Field(
        64,
        ge=2,
        le=512,
        description="Channels of the refinement; its features have 4 times as many.",
    )
    parser: Literal["bisenet", "template"] = Field(
        "bisenet", description="Face parser: a network, or a fixed map of an aligned face."
    )
    classes: Literal[14, 19] = Field(14, description="Classes that the parser distinguishes.")
    merge: RegionMerge = Field(
        "A",
        description="Merging of 19 classes to 14 regions: A joins the lips, B joins jewellery with "
        "ear and neck.",
    )
    parser_size: int = Field(
        512, ge=32, le=4096, description="Pixels a side of the picture that the parser sees."
    )
    parser_width: int = Field(64, ge=1, le=1024, description="Channels of the parser's stem.")
    dmm: bool = Field(True, description="Use the memory.")
    slots: int = Field(10, ge=1, le=10_000, description="Slots of the memory for each region.")
    momentum: Share = Field(0.99, description="Share of a slot kept when it is updated, 0 to 1.")
    temperature: PositiveFloat = Field(
        1.0, description="Divisor of similarities; below 1 a read mixes fewer slots."
    )
    enough: int = Field(
        4,
        ge=1,
        le=1_000_000,
        description="Known cells of a region from which its mean is remembered.",
    )
    query: Literal["region", "hole"] = Field(
        "region", description="Cells averaged for a query: of the region, or of its hole."
    )
    mrem: bool = Field(True, description="Broadcast to regions and correlate with the mask.")
    patch: int = Field(4, ge=1, le=64, description="Cells a side of the patches correlated.")
    keys: Literal["all", "known"] = Field(
        "all", description="Patches that may be attended to: all, or those without a hole."
    )


class MDRNetsTaskSettings(IrregularWeights):
    """Weights of the losses; `semantic` and `inco2` at 0 are the paper's ablations of them."""

    adversarial: NonNegativeFloat = Field(0.1, description="Weight of the critic's score.")
    semantic: NonNegativeFloat = Field(
        0.1, description="Weight of the cross-entropy of the parsed fill."
    )
    inco2: NonNegativeFloat = Field(
        1.0, description="Weight of InCo2, the coordination of regions; 0 skips stage `recon`."
    )
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="Reduction of InCo2; the paper prints a sum."
    )
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")
    recon: int = Field(
        64, ge=1, le=512, description="Channels of the reconstruction network's first layer."
    )
    labels: ClassOrder = Field(
        "celebamask-hq", description="Data set whose class numbers the label maps use."
    )
    parser_start: Literal["auto", "imagenet", "random"] = Field(
        "auto",
        description="Start of the parser's backbone: ResNet-18 trained on ImageNet, random, or "
        "(auto) the former where model.parser_width is 64, the only one that fits.",
    )
    parser_weights: Path | None = Field(
        None, description="Public checkpoint of the parser; it replaces the stage `parser`."
    )
