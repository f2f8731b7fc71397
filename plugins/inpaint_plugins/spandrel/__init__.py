"""Other people's published inpainting networks, recognised and rebuilt by the spandrel package.

Only tensors are taken from a file: pickles are read with `weights_only`, and of a TorchScript
archive (big-lama.pt) only the table of tensors, never its program. MAT needs the separate package
spandrel-extra-arches, whose architectures are not all free for commercial use.
"""

import pickle
import struct
from pathlib import Path
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from spandrel import (
    MaskedImageModelDescriptor,
    ModelDescriptor,
    ModelLoader,
    UnsupportedModelError,
    canonicalize_state_dict,
)
from torch import Tensor, nn

from inpaint_cli.api import Foreign, Format, Precision, Sizes, WeightsError

from .torchscript import is_torchscript, tensors

DAMAGED = (  # what loading raises where files are; the last two: older ones of torch
    SafetensorError,
    BadZipFile,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
)


class Masked(nn.Module):
    """Calls a network the way its descriptor says, one photo at a time."""

    def __init__(self, descriptor: MaskedImageModelDescriptor[nn.Module]) -> None:
        super().__init__()
        self.model = descriptor.model  # registered, so that .to() reaches it
        self.descriptor = descriptor

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        pairs = zip(visible.split(1), mask.split(1), strict=True)
        return torch.cat([self.descriptor(image, hole) for image, hole in pairs])


class Spandrel(Format):
    """LaMa and whatever else spandrel knows that fills holes: .safetensors, .pth, .ckpt, .pt."""

    @staticmethod
    def read(path: Path) -> Foreign:
        descriptor = described(path)
        name = descriptor.architecture.name
        if not isinstance(descriptor, MaskedImageModelDescriptor):
            what = f"{name} ({descriptor.purpose})"
            raise WeightsError(
                f"{path} holds {what}, which fills no holes; give an inpainting network"
            )
        if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
            raise WeightsError(f"{path} holds {name} for other than RGB images; give one for RGB")
        needs = descriptor.size_requirements
        precisions: list[Precision] = ["full"]
        if descriptor.supports_bfloat16:
            precisions.append("bf16")
        if descriptor.supports_half:
            precisions.append("fp16")
        return Foreign(
            name,
            Masked(descriptor).eval(),
            Sizes(
                multiple=needs.multiple_of,
                minimum=max(1, needs.minimum),
                square=needs.square,
                window=needs.minimum if needs.square else 1024,  # MAT: made for one size
                context=128,
            ),
            tuple(precisions),
        )


def described(path: Path) -> ModelDescriptor:
    """What spandrel makes of the tensors in the file at `path`."""
    try:
        from spandrel_extra_arches import install  # pyright: ignore[reportMissingImports]
    except ImportError:
        pass
    else:
        install(ignore_duplicates=True)
    try:
        return ModelLoader().load_from_state_dict(generator(canonicalize_state_dict(state(path))))
    except UnsupportedModelError as error:
        raise WeightsError(
            f"{path} holds no network that spandrel knows; for MAT install spandrel-extra-arches"
        ) from error
    except (RuntimeError, LookupError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path} is damaged or of an unknown variant: {error}") from error


def generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` without what LaMa's checkpoints keep beside the generator, and a wrapper's prefix."""
    plain = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    return {name: plain[name] for name in plain if name.startswith("generator.")} or state


def state(path: Path) -> dict[str, Tensor]:
    """The tensors of the file at `path` by name, in any of the usual formats."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if is_torchscript(path):
            return tensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except DAMAGED as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{path} is damaged or holds more than tensors: {reason}; get it as .safetensors"
        ) from error
