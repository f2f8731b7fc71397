"""Settings of the three networks SPN, SPN-P and SPL, and of their training."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat

from inpaint_cli.api import Settings, VGGSource

PretextName = Literal["tresnet_l", "resnet34", "resnet50", "edges", "spn", "random", "none"]
LossForm = Literal["code", "paper"]


class SPNSettings(Settings):
    """The deterministic network: 50.6 M parameters."""

    width: int = Field(
        64,
        ge=1,
        le=512,
        description="Channels at full resolution; those of other layers are multiples of it.",
    )
    blocks: int = Field(
        8,
        ge=1,
        le=256,
        description="SPADE blocks at a quarter of the size; table 4 has 4, 8 and 12.",
    )
    dense_blocks: int = Field(
        16, ge=1, le=256, description="Dense blocks in the trunk of the prior learner."
    )
    pyramid: bool | Literal[2] = Field(
        True,
        description="Use priors at three sizes (true), at a quarter and a half (2), or only at a "
        "quarter (false; table 3).",
    )
    spade: bool = Field(
        True,
        description="Use SPADE; otherwise concatenate priors and image features (section 4.4.1).",
    )
    slope: NonNegativeFloat = Field(
        0.0, description="Negative slope of the prior encoder's leaky ReLUs."
    )

    @property
    def levels(self) -> int:
        """The number of sizes at which there are priors."""
        return {True: 3, 2: 2, False: 1}[self.pyramid]


class SPLSettings(SPNSettings):
    """The predecessor with priors at one scale: 45.6 M parameters."""

    pyramid: bool | Literal[2] = Field(
        False,
        description="Use priors at three sizes (true), at a quarter and a half (2), or only at a "
        "quarter (false; table 3).",
    )
    slope: NonNegativeFloat = Field(
        0.1, description="Negative slope of the prior encoder's leaky ReLUs."
    )


class SPNPSettings(SPNSettings):
    """The probabilistic network: 68.5 M parameters."""

    z: Literal["drawn", "mean"] = Field(
        "drawn", description="Latent z: drawn at random, or its mean for always the same fill."
    )


class SPNTaskSettings(Settings):
    """Weights of the losses, their forms, and the pretext model."""

    pretext: PretextName = Field(
        "resnet34",
        description="Classifier whose features the priors learn; or edges, the edge maps of "
        "EdgeConnect; spn, the priors of a trained SPN; random, a classifier that was not trained; "
        "none leaves them out.",
    )
    pretext_file: Path | None = Field(
        None,
        description="Weights file of spn, or of tresnet_l: TResNet-L on OpenImages, from the model "
        "zoo of the asymmetric loss (ASL).",
    )
    target_norm: Literal["auto", "channel", "none"] = Field(
        "auto", description="Normalisation of target features; auto: none for tresnet_l."
    )
    prior: NonNegativeFloat = Field(1.0, description="Weight of the loss of the priors.")
    alpha: NonNegativeFloat = Field(
        3.0, description="Extra weight of the hole in the loss of the priors."
    )
    image: NonNegativeFloat = Field(10.0, description="Weight of L1 of the image.")
    delta: NonNegativeFloat = Field(
        2.0, description="Extra weight of the hole in L1 of the image; the paper has 4."
    )
    adversarial: NonNegativeFloat = Field(1.0, description="Weight of the critic's score.")
    gan: Literal["bce", "hinge"] = Field("bce", description="Adversarial loss.")
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")


class SPNPTaskSettings(SPNTaskSettings):
    """The same, and weights and forms of the losses of the probabilistic network."""

    gan: Literal["bce", "hinge"] = Field("hinge", description="Adversarial loss.")
    feature_matching: NonNegativeFloat = Field(
        10.0, description="Weight of the distance of the critic's features."
    )
    perceptual: NonNegativeFloat = Field(10.0, description="Weight of L1 of VGG-19 features.")
    perceptual_form: LossForm = Field(
        "code", description="Weights of its layers: 1/32 to 1 (code), or 1/5 each (paper)."
    )
    diversity: NonNegativeFloat = Field(
        1.0, description="Weight of the similarity of two draws in the hole."
    )
    diversity_form: LossForm = Field(
        "code",
        description="Reciprocal of the summed distances (code), or mean of reciprocals (paper).",
    )
    kl: NonNegativeFloat = Field(0.05, description="Weight of the divergence of z from N(0, 1).")
    kl_direction: Literal["p_q", "q_p"] = Field(
        "p_q", description="KL(N(0, 1) || q) (p_q), or the paper's KL(q || N(0, 1)) (q_p)."
    )
    vgg: VGGSource = Field(
        "imagenet",
        description="Weights of VGG-19: published (imagenet), random, or none to leave out its "
        "losses.",
    )
    vgg_normalise: bool = Field(
        False, description="Normalise with ImageNet's mean and deviation before VGG-19."
    )
