"""How MDRNets learn: coarse, finetune, parser and recon in any order, then fill on top of them.

Weights that the paper does not give are [choice]: those of partial convolutions for the terms
that it shares, 0.1 for the critic and the regions, 1 for InCo2.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import (
    Batch,
    DataError,
    IrregularWeights,
    Losses,
    Optimizer,
    Phase,
    Schedule,
    Stage,
    Task,
    TrainingError,
    edgeconnect_critic,
    irregular_features,
    irregular_losses,
    logistic_critic,
    logistic_generator,
    source_label,
)

from .model import MDRNet, Trace, at_grid, grid_hole
from .recon import Reconstruction, inco2
from .regions import CROP, ORDERS, Auxiliary, BiSeNet, Order, lookup, ohem

ADAM = Optimizer(lr=2e-4, betas=(0.9, 0.99))
NEEDED = {  # by the stage `fill`: what else may stand for the stage that trains it
    "coarse": "begin from weights with --init coarse=FILE",
    "parser": "begin from weights with --init parser=FILE, name public ones with --set "
    "architectures.mdrnets.task.parser_weights=FILE, or do without any by --set "
    "architectures.mdrnets.model.parser=template",
    "recon": "do without it by --set architectures.mdrnets.task.inco2=0",
}


class MDRNetsTaskSettings(IrregularWeights):
    """`semantic` and `inco2` at 0 are the paper's ablations of its losses."""

    adversarial: NonNegativeFloat = 0.1
    semantic: NonNegativeFloat = 0.1
    inco2: NonNegativeFloat = 1.0
    reduction: Literal["mean", "sum"] = "mean"  # of InCo2; sum: as the paper prints it
    critic: PositiveInt = 64  # channels of its first layer
    recon: PositiveInt = 64
    labels: Order = "celebamask-hq"  # what the numbers in label maps mean
    parser_weights: Path | None = None  # a public checkpoint, which leaves out the stage `parser`


class MDRNetsTask(Task):
    """Each stage trains its own networks; what an earlier one has trained stays as it is."""

    net: MDRNet
    settings = MDRNetsTaskSettings
    ready = False  # to fill: that what it builds on was trained
    plan: ClassVar[Mapping[str, Stage]] = {  # epochs of 28,000 images by 8
        "coarse": Stage(steps=280_000, batch=8, optimizer=ADAM),  # 80
        "finetune": Stage(  # 20, the encoder's norms frozen
            steps=70_000, batch=8, optimizer=ADAM.model_copy(update={"lr": 5e-5})
        ),
        "parser": Stage(
            steps=80_000,
            batch=16,
            labelled=True,
            optimizer=Optimizer(
                kind="sgd",
                lr=1e-2,
                momentum=0.9,
                weight_decay=5e-4,
                decays="weights",
                schedule=Schedule(kind="linear", power=0.9, warmup=1000, start=1e-3),
            ),
        ),
        "recon": Stage(steps=105_000, batch=8, optimizer=ADAM),  # 30
        "fill": Stage(steps=157_500, batch=8, optimizer=ADAM),  # 45
    }

    def __init__(self, net: MDRNet, settings: MDRNetsTaskSettings) -> None:
        super().__init__(net, settings)
        self.vgg = irregular_features(settings)
        self.parsers = [net.parser]  # in a list: not a child twice, and bare in every process
        self.coarse = [net.coarse]  # likewise
        self.recon = Reconstruction(settings.recon) if settings.inco2 else None
        self.critic = edgeconnect_critic(width=settings.critic) if settings.adversarial else None
        parser = net.parser
        if isinstance(parser, BiSeNet):
            if settings.parser_weights:
                parser.load(settings.parser_weights)
            else:
                self.auxiliary = Auxiliary(parser.classes, net.settings.parser_width)
        order = settings.labels
        merged = net.settings.classes == 14
        classes = lookup(order, net.settings.merge) if merged else lookup_19(order)
        self.register_buffer("classes", classes, persistent=False)

    def phases(self, stage: str) -> Sequence[Phase]:
        fill = Phase("fill", [f"net.{part}" for part in self.net.refines()], self.losses)
        coarse = [f"net.coarse.{part}" for part in self.net.coarse.finetuned()]
        heads = ["net.parser.ffm", "net.parser.conv_out", "auxiliary"]
        parser = Phase(
            "parser",
            ["net.parser", "auxiliary"],
            self.parser_losses,
            rates=dict.fromkeys(heads, 10.0),
        )
        return {
            "coarse": [Phase("coarse", ["net.coarse"], self.coarse_losses)],
            "finetune": [Phase("coarse", coarse, self.coarse_losses)],
            "parser": [parser] if hasattr(self, "auxiliary") else [],
            "recon": [Phase("recon", ["recon"], self.recon_losses)] if self.recon else [],
            "fill": [Phase("critic", ["critic"], self.critic_losses), fill]
            if self.critic
            else [fill],
        }[stage]

    def without(self) -> Sequence[str]:
        template = [] if isinstance(self.parsers[0], BiSeNet) else ["template-regions"]
        return [*source_label(self.config.vgg), *template]

    def predict(self, batch: Batch) -> Any:
        if self.stage in ("coarse", "finetune"):
            return self.net(batch.visible, batch.mask, "coarse")
        if self.stage == "parser":
            grid = crops(batch.image)
            image = sampled(jittered(batch.image), grid, "bilinear")
            return *self.net(image, batch.mask, "parser"), grid
        if self.stage == "recon" and self.recon:
            return self.recon(batch.image)
        if not self.ready and not batch.image.is_meta:  # an estimate has no values
            self.check()
        return self.net(batch.visible, batch.mask)

    def check(self) -> None:
        """Raise `TrainingError` where a network that `fill` builds on was not trained."""
        there = {
            "coarse": trained(*self.coarse),
            "parser": trained(*self.parsers),
            "recon": self.recon is None or bool(self.recon.trained),
        }
        for name, cure in NEEDED.items():
            if not there[name]:
                raise TrainingError(
                    f"the stage 'fill' needs what the stage '{name}' trains: --set architectures."
                    f"mdrnets.stages.{name}.steps={self.plan[name].steps}, or {cure}"
                )
        self.ready = True

    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        if self.stage == "recon" and self.recon:
            self.recon.trained.fill_(True)

    def coarse_losses(self, batch: Batch, out: Tensor) -> Losses:
        return irregular_losses(out, batch.image, batch.mask, self.vgg, self.config)

    def parser_losses(self, batch: Batch, out: tuple[Tensor, Tensor, Tensor, Tensor]) -> Losses:
        assert batch.labels is not None
        highest, order = int(batch.labels.max()), self.config.labels
        if highest >= len(ORDERS[order]):
            raise DataError(
                f"a label map has class {highest}, but {order} has {len(ORDERS[order])} classes "
                "from 0; say whose numbers they are with task.labels"
            )
        logits, at8, at16, grid = out
        labels = sampled(batch.labels[:, None].float(), grid, "nearest")[:, 0].long()
        truth = self.classes[labels]  # pyright: ignore[reportIndexIssue]
        return {"ohem": ohem([logits, *self.auxiliary(at8, at16)], truth)}

    def recon_losses(self, batch: Batch, out: Tensor) -> Losses:
        return {"l1": F.l1_loss(out, batch.image)}

    def critic_losses(self, batch: Batch, out: Trace) -> Losses:
        pasted = composite(batch, out.image).detach()
        real, fake = self.scores(batch.image), self.scores(pasted)
        return {"logistic": logistic_critic(real, fake) / 2}

    def scores(self, image: Tensor) -> Tensor:
        assert self.critic is not None
        return self.critic(2 * image - 1)[0]

    def losses(self, batch: Batch, out: Trace) -> Losses:
        config, truth, parser = self.config, batch.image, self.parsers[0]
        pasted, hole = composite(batch, out.image), grid_hole(batch.mask)
        terms = irregular_losses(out.image, truth, batch.mask, self.vgg, config)
        terms["hole_of_grid"] = hole.mean()  # as a share; thin holes grow on the grid
        if out.weights is not None:
            terms["memory_entropy"] = entropy(out.weights.detach(), out.present)
        if self.critic is not None:
            terms["adversarial"] = config.adversarial * logistic_generator(self.scores(pasted))
        if not (self.recon or config.semantic):
            return terms
        regions = parser.regions(truth)
        if config.semantic and isinstance(parser, BiSeNet):  # a fixed map teaches nothing
            semantic = F.cross_entropy(parser.scores(pasted), regions)
            terms["semantic"] = config.semantic * semantic
        if self.recon is not None:
            with torch.no_grad():
                true = self.recon.features(truth)
            terms["inco2"] = config.inco2 * inco2(
                self.recon.features(pasted),
                true,
                at_grid(regions),
                hole,
                reduction=config.reduction,
            )
        return terms


def trained(net: nn.Module) -> bool:
    """Whether the batch norms of `net`, if it has any, have seen a batch."""
    means = [buffer for name, buffer in net.named_buffers() if name.endswith("running_mean")]
    return not means or any(mean.any() for mean in means)


def composite(batch: Batch, out: Tensor) -> Tensor:
    """O: the picture with its hole filled by `out`."""
    return torch.where(batch.mask > 0, out, batch.image)


def entropy(weights: Tensor, present: Tensor) -> Tensor:
    """How much a read [N, R, m] mixes slots: its entropy in nats, the mean over present regions."""
    each = -torch.xlogy(weights, weights).sum(-1)
    return (each * present).sum() / present.sum()


def lookup_19(order: Order) -> Tensor:
    """The number in BiSeNet's order of each class of `order`."""
    if order == "fasseg":
        raise DataError("fasseg tells left from right nowhere; set model.classes to 14")
    return torch.tensor([ORDERS["bisenet"].index(name) for name in ORDERS[order]])


def jittered(image: Tensor) -> Tensor:
    """Brightness, contrast and saturation times 0.5 to 1.5, for each picture."""
    factors = 0.5 + torch.rand(3, len(image), 1, 1, 1, device=image.device)
    image = image * factors[0]
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + factors[1] * (image - mean)
    gray = image.mean(1, keepdim=True)
    return (gray + factors[2] * (image - gray)).clamp(0, 1)


def crops(image: Tensor) -> Tensor:
    """Where a crop of each picture [N, 3, H, W] lies, for `sampled`: [N, H, W, 2].

    Of the picture times 0.75 to 2 as much as `CROP` of its sides holds, or all of it.
    """
    scale, *place = torch.rand(3, len(image), device=image.device)
    share = (CROP / (0.75 + 1.25 * scale)).clamp(max=1)
    where = torch.zeros(len(image), 2, 3, device=image.device)
    for axis in (0, 1):
        where[:, axis, axis], where[:, axis, 2] = share, (1 - share) * (2 * place[axis] - 1)
    return F.affine_grid(where, list(image.shape), align_corners=False)


def sampled(image: Tensor, grid: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    return F.grid_sample(image, grid, mode, "border", align_corners=False)
