"""All that a plugin may import: contracts, and the blocks and functions that plugins share.

    from inpaint_cli.api import Architecture, Sizes, Task

Each name is imported when it is first used, so that a plugin without a network needs no torch.
"""

from ..lazy import lazy_names

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
        ".finders": "Box Finder Points",
        "..images.memory": "read_rgb",
        ".masks": "Mask Masks Ratio hole_areas percent_text",
        ".metrics": "Estimate Features ImageMetric Metric SetMetric unit",
        ".datasets": "Dataset",
        ".formats": "Foreign ForeignFiller Format",
        ".catalogues": "Catalogue",
        ".tensors": "to_uint8",
        "..files.pictures": "is_picture",
        "..files.stores": "open_store",
        "..files.zips": "read_zip_member zip_names",
        "..images": "grow read_mask resize_mask",
        "..layers.backbones": "load_backbone weights_stand_in",
        "..layers.discriminators": "PatchDiscriminator edgeconnect_critic pix2pixhd_critic "
        "sn_patchgan_critic",
        "..layers.fourier": "FFC FFCBlock at_least_float32",
        "..layers.gated": "GatedConv2d",
        "..layers.partial": "FreezableBatchNorm2d PartialConv2d",
        "..layers.partial_unet": "PartialUNet",
        "..layers.pickles": "check_archive load_pickle",
        "..layers.spade": "Spade SpadeBlock",
        "..layers.spreading": "spread_colours",
        "..layers.values": "compute_values has_values is_exporting waits_for_device",
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
