"""Training of MDRNets: stages coarse, finetune, parser and recon, then fill, which needs them.

Weights of losses that the paper does not give are [choice]: those of partial convolutions for the
terms they share, 0.1 for the critic and the regions, 1 for InCo2.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import (
    Batch,
    DataError,
    Losses,
    Optimizer,
    Phase,
    Schedule,
    Stage,
    Task,
    TrainingError,
    edgeconnect_critic,
    has_values,
    irregular_features,
    irregular_losses,
    logistic_critic,
    logistic_generator,
    source_label,
)

from .model import MDRNet, Trace, shrink_hole, shrink_regions
from .recon import Reconstruction, inco2_loss
from .regions import (
    CLASS_ORDERS,
    CROP_SHARE,
    AuxiliaryHeads,
    BiSeNet,
    ohem_loss,
    region_lookup,
)
from .settings import ClassOrder, MDRNetsTaskSettings

ADAM = Optimizer(lr=2e-4, betas=(0.9, 0.99))
STAGE_ALTERNATIVES = {  # networks that `fill` needs, and how to do without training them
    "coarse": "start from weights with --init coarse=FILE",
    "parser": "start from weights with --init parser=FILE, name public ones with --set "
    "architectures.mdrnets.task.parser_weights=FILE, or use a fixed map with --set "
    "architectures.mdrnets.model.parser=template",
    "recon": "leave out its loss with --set architectures.mdrnets.task.inco2=0",
}


def is_trained(net: nn.Module) -> bool:
    """Return whether the batch norms of `net`, if any, have seen a batch."""
    means = [buffer for name, buffer in net.named_buffers() if name.endswith("running_mean")]
    return not means or any(mean.any() for mean in means)


def paste_visible(batch: Batch, out: Tensor) -> Tensor:
    """Return O: the image with its hole filled by `out`."""
    return torch.where(batch.mask > 0, out, batch.image)


def mean_entropy(weights: Tensor, present: Tensor) -> Tensor:
    """Return the entropy, in nats, of slot weights [N, R, m], averaged over present regions."""
    each = -torch.xlogy(weights, weights).sum(-1)
    return (each * present).sum() / present.sum()


def class_lookup(order: ClassOrder) -> Tensor:
    """Return the number in BiSeNet's order of each class of `order`."""
    if order == "fasseg":
        raise DataError("fasseg does not distinguish left and right; set model.classes to 14")
    return torch.tensor([CLASS_ORDERS["bisenet"].index(name) for name in CLASS_ORDERS[order]])


def jitter_colours(image: Tensor) -> Tensor:
    """Scale brightness, contrast and saturation of each image by 0.5 to 1.5."""
    factors = 0.5 + torch.rand(3, len(image), 1, 1, 1, device=image.device)
    image = image * factors[0]
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + factors[1] * (image - mean)
    gray = image.mean(1, keepdim=True)
    return (gray + factors[2] * (image - gray)).clamp(0, 1)


def draw_crops(image: Tensor) -> Tensor:
    """Draw a crop of each image [N, 3, H, W], as a grid [N, H, W, 2] for `sample_grid`.

    The image is scaled by 0.75 to 2; the crop has `CROP_SHARE` of its sides, or all of it.
    """
    scale, *place = torch.rand(3, len(image), device=image.device)
    share = (CROP_SHARE / (0.75 + 1.25 * scale)).clamp(max=1)
    where = torch.zeros(len(image), 2, 3, device=image.device)
    for axis in (0, 1):
        where[:, axis, axis], where[:, axis, 2] = share, (1 - share) * (2 * place[axis] - 1)
    return F.affine_grid(where, list(image.shape), align_corners=False)


def sample_grid(image: Tensor, grid: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    """Sample `image` [N, C, H, W] at `grid` [N, h, w, 2], which is in -1..1."""
    return F.grid_sample(image, grid, mode, "border", align_corners=False)


class MDRNetsTask(Task):
    """Each stage trains its own networks, and leaves those of earlier stages unchanged."""

    net: MDRNet
    settings = MDRNetsTaskSettings
    ready = False  # whether the networks that `fill` needs are known to be trained
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
        self.parsers = [net.parser]  # in a list: no second child, and unwrapped in every process
        self.coarse = [net.coarse]  # likewise
        self.recon = Reconstruction(settings.recon) if settings.inco2 else None
        self.critic = edgeconnect_critic(width=settings.critic) if settings.adversarial else None
        parser = net.parser
        if isinstance(parser, BiSeNet) and not settings.parser_weights:
            self.auxiliary = AuxiliaryHeads(parser.classes, net.settings.parser_width)
        order = settings.labels
        self.label_names = CLASS_ORDERS[order]
        merged = net.settings.classes == 14
        classes = region_lookup(order, net.settings.merge) if merged else class_lookup(order)
        self.register_buffer("classes", classes, persistent=False)

    def start(self) -> None:
        parser = self.net.parser
        if isinstance(parser, BiSeNet):
            if self.config.parser_weights:
                parser.load_checkpoint(self.config.parser_weights)
            elif self.starts_from_imagenet():
                parser.load_backbone()

    def phases(self, stage: str) -> Sequence[Phase]:
        fill = Phase("fill", [f"net.{part}" for part in self.net.parts_to_refine()], self.losses)
        coarse = [f"net.coarse.{part}" for part in self.net.coarse.parts_to_finetune()]
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

    def filler(self, net: nn.Module) -> Callable[[Tensor, Tensor], Any] | None:
        """The coarse network in its stages, the whole one in `fill`; a parser fills nothing."""
        if self.stage in ("coarse", "finetune"):
            return partial(net, part="coarse")
        return net if self.stage == "fill" else None

    def tally(self, net: nn.Module, batch: Batch) -> Tensor | None:
        """Count for each class the pixels [2, classes] in both parsed and true, and in either."""
        parser = net.get_submodule("parser")
        if self.stage != "parser" or batch.labels is None or not isinstance(parser, BiSeNet):
            return None
        logits = F.interpolate(
            parser(batch.image)[0].float(), batch.labels.shape[-2:], mode="bilinear"
        )
        parsed, truth = (
            F.one_hot(classes, parser.classes).flatten(0, 2).bool()
            for classes in (logits.argmax(1), self.classes[batch.labels])  # pyright: ignore[reportIndexIssue]
        )
        return torch.stack([(parsed & truth).sum(0), (parsed | truth).sum(0)])

    def tally_scores(self, total: Tensor) -> Mapping[str, float]:
        """Mean over classes of intersection over union; classes without a pixel do not count."""
        both, either = total.double()
        return {"miou": float((both / either)[either > 0].mean())}

    def without(self) -> Sequence[str]:
        parser = [] if isinstance(self.parsers[0], BiSeNet) else ["template-regions"]
        if hasattr(self, "auxiliary") and not self.starts_from_imagenet():
            parser = ["random-resnet18"]
        return [*source_label(self.config.vgg), *parser]

    def notes(self) -> Mapping[str, str]:
        model = self.net.settings
        if model.parser == "template":
            return {"parser": f"a fixed map of an aligned face, 14 regions (merge {model.merge})"}
        how = "trained here" if hasattr(self, "auxiliary") else "as its file has it"
        merged = f", merged to 14 regions ({model.merge})" if model.classes != 14 else ""
        labels = f", from label maps of {self.config.labels}" if how == "trained here" else ""
        return {"parser": f"BiSeNet, {model.classes} classes{merged}, {how}{labels}"}

    def files(self) -> Mapping[str, Path]:
        file = self.config.parser_weights
        return {"parser": file} if file and self.net.settings.parser == "bisenet" else {}

    def starts_from_imagenet(self) -> bool:
        """Whether the backbone of a parser that is to be trained starts from ImageNet."""
        start, width = self.config.parser_start, self.net.settings.parser_width
        return start == "imagenet" or (start == "auto" and width == 64)

    def predict(self, batch: Batch) -> Any:
        if self.stage in ("coarse", "finetune"):
            return self.net(batch.visible, batch.mask, "coarse")
        if self.stage == "parser":
            grid = draw_crops(batch.image)
            image = sample_grid(jitter_colours(batch.image), grid, "bilinear")
            return *self.net(image, batch.mask, "parser"), grid
        if self.stage == "recon" and self.recon:
            return self.recon(batch.image)
        if not self.ready and has_values(batch.image):
            self.check_trained()
        return self.net(batch.visible, batch.mask)

    def check_trained(self) -> None:
        """Raise `TrainingError` if a network that `fill` needs was not trained."""
        ready = {
            "coarse": is_trained(*self.coarse),
            "parser": is_trained(*self.parsers),
            "recon": self.recon is None or bool(self.recon.trained),
        }
        for name, cure in STAGE_ALTERNATIVES.items():
            if not ready[name]:
                raise TrainingError(
                    f"the stage 'fill' needs the network of the stage '{name}': --set "
                    f"architectures.mdrnets.stages.{name}.steps={self.plan[name].steps}, or {cure}"
                )
        self.ready = True

    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        if self.stage == "recon" and self.recon:
            self.recon.trained.fill_(True)

    def coarse_losses(self, batch: Batch, out: Tensor) -> Losses:
        return irregular_losses(out, batch.image, batch.mask, self.vgg, self.config)

    def parser_losses(self, batch: Batch, out: tuple[Tensor, Tensor, Tensor, Tensor]) -> Losses:
        assert batch.labels is not None
        logits, at8, at16, grid = out
        labels = sample_grid(batch.labels[:, None].float(), grid, "nearest")[:, 0].long()
        truth = self.classes[labels]  # pyright: ignore[reportIndexIssue]
        return {"ohem": ohem_loss([logits, *self.auxiliary(at8, at16)], truth)}

    def recon_losses(self, batch: Batch, out: Tensor) -> Losses:
        return {"l1": F.l1_loss(out, batch.image)}

    def critic_losses(self, batch: Batch, out: Trace) -> Losses:
        pasted = paste_visible(batch, out.image).detach()
        real, fake = self.score_images(batch.image), self.score_images(pasted)
        return {"logistic": logistic_critic(real, fake) / 2}

    def score_images(self, image: Tensor) -> Tensor:
        assert self.critic is not None
        return self.critic(2 * image - 1)[0]

    def losses(self, batch: Batch, out: Trace) -> Losses:
        config, truth, parser = self.config, batch.image, self.parsers[0]
        pasted, hole = paste_visible(batch, out.image), shrink_hole(batch.mask)
        terms = irregular_losses(out.image, truth, batch.mask, self.vgg, config)
        terms["hole_of_grid"] = hole.mean()  # as a share; thin holes grow on the grid
        if out.weights is not None:
            terms["memory_entropy"] = mean_entropy(out.weights.detach(), out.present)
        if self.critic is not None:
            terms["adversarial"] = config.adversarial * logistic_generator(
                self.score_images(pasted)
            )
        if not (self.recon or config.semantic):
            return terms
        regions = parser.parse_regions(truth)
        if config.semantic and isinstance(parser, BiSeNet):  # a fixed map has no gradient
            semantic = F.cross_entropy(parser.region_logits(pasted), regions)
            terms["semantic"] = config.semantic * semantic
        if self.recon is not None:
            with torch.no_grad():
                true = self.recon.encode_features(truth)
            terms["inco2"] = config.inco2 * inco2_loss(
                self.recon.encode_features(pasted),
                true,
                shrink_regions(regions),
                hole,
                reduction=config.reduction,
            )
        return terms
