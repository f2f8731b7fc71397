"""How the residual U-Net learns: from pixels alone."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import NonNegativeFloat

from inpaint_cli.api.architectures import Batch, Losses, Task
from inpaint_cli.api.settings import Settings
from inpaint_cli.api.stages import Optimizer, Schedule, Stage
from inpaint_cli.losses.reconstruction import l1


class ResUNetTaskSettings(Settings):
    """Weights of the losses."""

    hole: NonNegativeFloat = 1.0
    visible: NonNegativeFloat = 0.1


class ResUNetTask(Task):
    settings = ResUNetTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "fill": Stage(
            steps=100_000,
            batch=8,
            clip=1.0,
            optimizer=Optimizer(
                kind="adamw",
                lr=2e-3,
                betas=(0.9, 0.98),
                weight_decay=1e-3,
                schedule=Schedule(kind="cosine", warmup=100, floor=0.02),
            ),
        )
    }

    def losses(self, batch: Batch, out: Any) -> Losses:
        weights = {"hole": self.config.hole, "visible": self.config.visible}
        return {"l1": l1(out, batch.image, batch.mask, by_area=True, **weights)}
