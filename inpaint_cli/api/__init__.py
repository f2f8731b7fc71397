"""All that a plugin may import: contracts, and the blocks and functions that plugins share.

    from inpaint_cli.api import Architecture, Sizes, Task

Each name is imported when it is first used, so that a plugin without a network needs no torch.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..errors import DataError as DataError
    from ..errors import ImageError as ImageError
    from ..errors import InpaintError as InpaintError
    from ..errors import PluginError as PluginError
    from ..errors import TrainingError as TrainingError
    from ..errors import WeightsError as WeightsError
    from ..files.pictures import is_picture as is_picture
    from ..files.zips import read_zip_member as read_zip_member
    from ..files.zips import zip_names as zip_names
    from ..images import read_mask as read_mask
    from ..images import resize_mask as resize_mask
    from ..layers.backbones import load_backbone as load_backbone
    from ..layers.discriminators import PatchDiscriminator as PatchDiscriminator
    from ..layers.discriminators import edgeconnect_critic as edgeconnect_critic
    from ..layers.discriminators import pix2pixhd_critic as pix2pixhd_critic
    from ..layers.discriminators import sn_patchgan_critic as sn_patchgan_critic
    from ..layers.fourier import FFC as FFC
    from ..layers.fourier import FFCBlock as FFCBlock
    from ..layers.fourier import at_least_float32 as at_least_float32
    from ..layers.gated import GatedConv2d as GatedConv2d
    from ..layers.partial import FreezableBatchNorm2d as FreezableBatchNorm2d
    from ..layers.partial import PartialConv2d as PartialConv2d
    from ..layers.partial_unet import PartialUNet as PartialUNet
    from ..layers.spade import Spade as Spade
    from ..layers.spade import SpadeBlock as SpadeBlock
    from ..layers.spreading import spread_colours as spread_colours
    from ..lazy import deferred as deferred
    from ..losses.adversarial import feature_matching as feature_matching
    from ..losses.adversarial import hinge_critic as hinge_critic
    from ..losses.adversarial import hinge_generator as hinge_generator
    from ..losses.adversarial import logistic_critic as logistic_critic
    from ..losses.adversarial import logistic_generator as logistic_generator
    from ..losses.adversarial import r1_penalty as r1_penalty
    from ..losses.divergence import kl_divergence as kl_divergence
    from ..losses.irregular import irregular_features as irregular_features
    from ..losses.irregular import irregular_losses as irregular_losses
    from ..losses.perceptual import VGG as VGG
    from ..losses.perceptual import gram_matrix as gram_matrix
    from ..losses.perceptual import make_vgg as make_vgg
    from ..losses.perceptual import perceptual_loss as perceptual_loss
    from ..losses.perceptual import style_loss as style_loss
    from ..losses.reconstruction import l1_loss as l1_loss
    from ..losses.reconstruction import log_error as log_error
    from ..losses.settings import IrregularWeights as IrregularWeights
    from ..losses.settings import VGGSource as VGGSource
    from ..losses.settings import source_label as source_label
    from ..losses.smoothness import total_variation as total_variation
    from ..settings import Settings as Settings
    from .architectures import Architecture as Architecture
    from .architectures import Converted as Converted
    from .architectures import Precision as Precision
    from .datasets import Dataset as Dataset
    from .fillers import Fallback as Fallback
    from .fillers import Filler as Filler
    from .formats import Foreign as Foreign
    from .formats import Format as Format
    from .masks import Mask as Mask
    from .masks import Masks as Masks
    from .masks import Ratio as Ratio
    from .masks import hole_areas as hole_areas
    from .masks import percent_text as percent_text
    from .metrics import Features as Features
    from .metrics import ImageMetric as ImageMetric
    from .metrics import Metric as Metric
    from .metrics import SetMetric as SetMetric
    from .metrics import unit as unit
    from .sizes import WHOLE_PHOTO as WHOLE_PHOTO
    from .sizes import Sizes as Sizes
    from .stages import Optimizer as Optimizer
    from .stages import Schedule as Schedule
    from .stages import Share as Share
    from .stages import Stage as Stage
    from .tasks import Batch as Batch
    from .tasks import Losses as Losses
    from .tasks import Phase as Phase
    from .tasks import Task as Task
    from .tensors import to_uint8 as to_uint8

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "..errors": "DataError ImageError InpaintError PluginError TrainingError WeightsError",
        "..settings": "Settings",
        "..lazy": "deferred",
        ".sizes": "WHOLE_PHOTO Sizes",
        ".architectures": "Architecture Converted Precision",
        ".fillers": "Fallback Filler",
        ".tasks": "Batch Losses Phase Task",
        ".stages": "Optimizer Schedule Share Stage",
        ".masks": "Mask Masks Ratio hole_areas percent_text",
        ".metrics": "Features ImageMetric Metric SetMetric unit",
        ".datasets": "Dataset",
        ".formats": "Foreign Format",
        ".tensors": "to_uint8",
        "..files.pictures": "is_picture",
        "..files.zips": "read_zip_member zip_names",
        "..images": "read_mask resize_mask",
        "..layers.backbones": "load_backbone",
        "..layers.discriminators": "PatchDiscriminator edgeconnect_critic pix2pixhd_critic "
        "sn_patchgan_critic",
        "..layers.fourier": "FFC FFCBlock at_least_float32",
        "..layers.gated": "GatedConv2d",
        "..layers.partial": "FreezableBatchNorm2d PartialConv2d",
        "..layers.partial_unet": "PartialUNet",
        "..layers.spade": "Spade SpadeBlock",
        "..layers.spreading": "spread_colours",
        "..losses.adversarial": "feature_matching hinge_critic hinge_generator logistic_critic "
        "logistic_generator r1_penalty",
        "..losses.divergence": "kl_divergence",
        "..losses.irregular": "irregular_features irregular_losses",
        "..losses.perceptual": "VGG gram_matrix make_vgg perceptual_loss style_loss",
        "..losses.reconstruction": "l1_loss log_error",
        "..losses.settings": "IrregularWeights VGGSource source_label",
        "..losses.smoothness": "total_variation",
    },
)
