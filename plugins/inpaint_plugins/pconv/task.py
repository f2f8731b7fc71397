"""Training of the U-Net of partial convolutions: stage `fill`, then `finetune`."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from inpaint_cli.api import (
    Batch,
    IrregularWeights,
    Losses,
    Optimizer,
    PartialUNet,
    Phase,
    Stage,
    Task,
    irregular_features,
    irregular_losses,
    source_label,
)


class PConvTask(Task):
    """Two stages with the same losses.

    `finetune` freezes the encoder's batch norms, whose statistics include the zeros of holes
    (section 4 of the paper).
    """

    net: PartialUNet
    settings = IrregularWeights
    plan: ClassVar[Mapping[str, Stage]] = {  # 80 and 20 epochs of 28,000 images
        "fill": Stage(steps=280_000, batch=8, optimizer=Optimizer(lr=2e-4, betas=(0.9, 0.99))),
        "finetune": Stage(steps=70_000, batch=8, optimizer=Optimizer(lr=5e-5, betas=(0.9, 0.99))),
    }

    def __init__(self, net: PartialUNet, settings: IrregularWeights) -> None:
        super().__init__(net, settings)
        self.vgg = irregular_features(settings)

    def phases(self, stage: str) -> Sequence[Phase]:
        trains = ["net"]
        if stage == "finetune":
            trains = [f"net.{part}" for part in self.net.parts_to_finetune()]
        return [Phase("fill", trains, self.losses)]

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg)

    def losses(self, batch: Batch, out: Any) -> Losses:
        return irregular_losses(out, batch.image, batch.mask, self.vgg, self.config)
