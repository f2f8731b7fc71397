"""How the U-Net of partial convolutions learns: stage `fill`, then `finetune`."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from inpaint_cli.api.architectures import Batch, Losses, Phase, Task
from inpaint_cli.api.settings import Settings
from inpaint_cli.api.stages import Optimizer, Stage
from inpaint_cli.losses.perceptual import Source, label, perceptual, style, vgg
from inpaint_cli.losses.reconstruction import l1
from inpaint_cli.losses.smoothness import total_variation


class PConvTaskSettings(Settings):
    """Weights of the paper's losses, and where VGG-16 comes from ("none": no such terms)."""

    visible: NonNegativeFloat = 1.0
    hole: NonNegativeFloat = 6.0
    perceptual: NonNegativeFloat = 0.05
    style: NonNegativeFloat = 120.0
    total_variation: NonNegativeFloat = 0.1
    vgg: Source = "imagenet"


class PConvTask(Task):
    """`finetune` freezes the encoder's batch norm: its statistics are taken over zeros of holes."""

    settings = PConvTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {  # 80 and 20 epochs of 28,000 images
        "fill": Stage(steps=280_000, batch=8, optimizer=Optimizer(lr=2e-4, betas=(0.9, 0.99))),
        "finetune": Stage(steps=70_000, batch=8, optimizer=Optimizer(lr=5e-5, betas=(0.9, 0.99))),
    }

    def __init__(self, net: nn.Module, settings: PConvTaskSettings) -> None:
        super().__init__(net, settings)
        taps = ["pool1", "pool2", "pool3"]
        wanted = settings.perceptual or settings.style
        self.vgg = vgg("vgg16", taps, settings.vgg) if wanted else None

    def phases(self, stage: str) -> Sequence[Phase]:
        trains = ["net"]
        if stage == "finetune":
            levels = self.net.get_submodule("encoder").named_children()
            trains = ["net.decoder", *(f"net.encoder.{level}.conv" for level, _ in levels)]
        return [Phase("fill", trains, self.losses)]

    def labels(self) -> Sequence[str]:
        return label(self.config.vgg)

    def losses(self, batch: Batch, out: Any) -> Losses:
        config, truth, mask = self.config, batch.image, batch.mask
        composite = torch.where(mask > 0, out, truth)
        terms: dict[str, Tensor] = {
            "l1": l1(out, truth, mask, hole=config.hole, visible=config.visible),
            "total_variation": config.total_variation * total_variation(composite, mask),
        }
        if self.vgg is not None:
            filled = self.vgg(torch.cat([out, composite]))
            with torch.no_grad():
                true = [feature.repeat(2, 1, 1, 1) for feature in self.vgg(truth)]
            # the paper's sum over both pictures is twice the mean over the two as one batch
            terms["perceptual"] = 2 * config.perceptual * perceptual(filled, true)
            terms["style"] = 2 * config.style * style(filled, true)
        return terms
