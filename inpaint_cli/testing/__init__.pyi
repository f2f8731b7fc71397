# what the lazy names of the package are, for type checkers

from .architectures import check_architecture as check_architecture
from .datasets import check_dataset as check_dataset
from .datasets import check_images as check_images
from .fillers import check_filler as check_filler
from .finders import check_finder as check_finder
from .formats import check_format as check_format
from .masks import check_masks as check_masks
from .metrics import check_metric as check_metric

__all__: list[str]
