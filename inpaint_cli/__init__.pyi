# what the lazy names of the package are, for type checkers

from .errors import DataError as DataError
from .errors import ImageError as ImageError
from .errors import InpaintError as InpaintError
from .errors import PluginError as PluginError
from .errors import RecipeError as RecipeError
from .errors import TrainingError as TrainingError
from .errors import WeightsError as WeightsError
from .evaluation.evaluate import EvalResult as EvalResult
from .evaluation.evaluate import evaluate as evaluate
from .evaluation.functions import MetricFunction as MetricFunction
from .evaluation.functions import metric as metric
from .evaluation.protocols import list_protocols as list_protocols
from .evaluation.scores import compare_scores as compare_scores
from .filling.compare import compare_models as compare_models
from .filling.explain import explain_fill as explain_fill
from .filling.fill import Filled as Filled
from .filling.fill import FillResult as FillResult
from .filling.folder import FolderReport as FolderReport
from .filling.folder import fill_folder as fill_folder
from .filling.photo import fill as fill
from .filling.provenance import repeat_card as repeat_card
from .filling.provenance import write_card as write_card
from .images import Photo as Photo
from .images import read_mask as read_mask
from .images import read_photo as read_photo
from .masks.check import inspect_masks as inspect_masks
from .masks.find import FoundMask as FoundMask
from .masks.find import find_mask as find_mask
from .masks.find import find_mask_file as find_mask_file
from .masks.find import list_finders as list_finders
from .masks.generate import generate_masks as generate_masks
from .masks.generate import list_mask_kinds as list_mask_kinds
from .masks.generate import rebuild_masks as rebuild_masks
from .models.catalogue import get_model as get_model
from .models.catalogue import remove_model as remove_model
from .models.choose import LoadedModel as LoadedModel
from .models.choose import ModelRef as ModelRef
from .models.choose import list_models as list_models
from .models.choose import load_model as load_model
from .sharing import PublishedWeights as PublishedWeights
from .sharing import publish_weights as publish_weights
from .training.checks import DataReport as DataReport
from .training.checks import check_data as check_data
from .training.checks import smoke_test as smoke_test
from .training.estimate import outline_training as outline_training
from .training.run import TrainOutcome as TrainOutcome
from .training.runs import RunComparison as RunComparison
from .training.runs import RunSummary as RunSummary
from .training.runs import compare_runs as compare_runs
from .training.runs import list_runs as list_runs
from .training.train import train as train

__version__: str
__all__: list[str]
