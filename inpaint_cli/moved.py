"""Names of version 0.1 that plugins imported, and what to write instead."""

import re

MOVED_NAMES = {  # module or name of 0.1: names of inpaint_cli.api
    "inpaint_cli.api.architectures.WHOLE": "WHOLE_PHOTO",
    "inpaint_cli.api.datasets.Images": "Dataset",
    "inpaint_cli.api.masks.areas": "hole_areas",
    "inpaint_cli.api.masks.percent": "percent_text",
    "inpaint_cli.archives": "read_zip_member zip_names",
    "inpaint_cli.files.SUFFIXES": "is_picture",
    "inpaint_cli.layers.discriminators.edgeconnect": "edgeconnect_critic",
    "inpaint_cli.layers.discriminators.pix2pixhd": "pix2pixhd_critic",
    "inpaint_cli.layers.discriminators.sn_patchgan": "sn_patchgan_critic",
    "inpaint_cli.layers.spreading.spread": "spread_colours",
    "inpaint_cli.losses.adversarial.r1": "r1_penalty",
    "inpaint_cli.losses.divergence.kl": "kl_divergence",
    "inpaint_cli.losses.irregular.Weights": "IrregularWeights",
    "inpaint_cli.losses.irregular.features": "irregular_features",
    "inpaint_cli.losses.irregular.irregular": "irregular_losses",
    "inpaint_cli.losses.perceptual.Source": "VGGSource",
    "inpaint_cli.losses.perceptual.gram": "gram_matrix",
    "inpaint_cli.losses.perceptual.label": "source_label",
    "inpaint_cli.losses.perceptual.perceptual": "perceptual_loss",
    "inpaint_cli.losses.perceptual.style": "style_loss",
    "inpaint_cli.losses.perceptual.vgg": "make_vgg",
    "inpaint_cli.losses.reconstruction.l1": "l1_loss",
    "inpaint_cli.pictures": "to_uint8",
    "inpaint_cli.pretrained": "load_backbone",
}
REMOVED_MODULES = {  # module of 0.1: what to do instead
    "inpaint_cli.engine": "import what plugins may use from inpaint_cli.api",
    "inpaint_cli.layers.classical": "extend Filler of inpaint_cli.api and register it under "
    "inpaint.fillers",
    "inpaint_cli.sheets": "draw with Pillow",
}
IMPORT_ERRORS = (  # of Python, about a module or a name of one
    re.compile(r"No module named '(?P<module>[\w.]+)'(?P<name>)"),
    re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'"),
    re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'"),
)


def explain_moved(error: BaseException) -> str | None:
    """Say what to import instead if `error` is about a name of version 0.1; otherwise None.

    >>> explain_moved(ImportError("No module named 'inpaint_cli.pictures'"))
    'inpaint_cli.pictures has moved: import to_uint8 from inpaint_cli.api'
    """
    for pattern in IMPORT_ERRORS:
        if match := pattern.search(str(error)):
            name = f"{match['module']}.{match['name']}".rstrip(".")
            if name in MOVED_NAMES:
                names = " or ".join(MOVED_NAMES[name].split())
                return f"{name} has moved: import {names} from inpaint_cli.api"
            if name in REMOVED_MODULES:
                return f"{name} was removed: {REMOVED_MODULES[name]}"
    return None
