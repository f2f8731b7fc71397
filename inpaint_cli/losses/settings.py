"""Settings that losses of several tasks share. Imports no torch."""

from typing import Literal

from pydantic import Field, NonNegativeFloat

from ..settings import Settings

VGGSource = Literal["imagenet", "none", "random"]


class IrregularWeights(Settings):
    """Weights of the losses of partial convolutions; the defaults are the paper's."""

    visible: NonNegativeFloat = Field(1.0, description="Weight of L1 at visible pixels.")
    hole: NonNegativeFloat = Field(6.0, description="Weight of L1 in the hole.")
    perceptual: NonNegativeFloat = Field(0.05, description="Weight of L1 of VGG-16 features.")
    style: NonNegativeFloat = Field(120.0, description="Weight of L1 of their Gram matrices.")
    total_variation: NonNegativeFloat = Field(
        0.1, description="Weight of the total variation in and at the hole."
    )
    vgg: VGGSource = Field(
        "imagenet",
        description="Weights of VGG-16: published (imagenet), random, or none to leave out its "
        "losses.",
    )


def source_label(source: VGGSource) -> list[str]:
    """Return what a run's name says of its VGG: nothing where its weights are the published ones.

    >>> source_label("none")
    ['no-vgg']
    """
    return {"imagenet": [], "none": ["no-vgg"], "random": ["random-vgg"]}[source]
