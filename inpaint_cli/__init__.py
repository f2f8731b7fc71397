"""Fill holes in photos.

    import inpaint_cli as inpaint
    inpaint.fill("photo.jpg", mask="mask.png").save("filled.jpg")

What is listed in `__all__` is the public interface: it changes with a note in the CHANGELOG. Each
name is imported when it is first used. Plugins import `inpaint_cli.api`.
"""

from .lazy import lazy_names

__version__ = "0.5.0"
__getattr__, __all__ = lazy_names(
    __name__,
    {
        ".filling.photo": "fill",
        ".filling.fill": "Filled FillResult",
        ".filling.folder": "FolderReport fill_folder",
        ".filling.compare": "compare_models",
        ".filling.explain": "explain_fill",
        ".filling.provenance": "repeat_card write_card",
        ".models.catalogue": "get_model remove_model",
        ".models.choose": "LoadedModel ModelRef list_models load_model",
        ".images": "Photo read_mask read_photo",
        ".masks.generate": "generate_masks list_mask_kinds rebuild_masks",
        ".masks.check": "inspect_masks",
        ".masks.find": "FoundMask find_mask find_mask_file list_finders",
        ".sharing": "PublishedWeights publish_weights",
        ".training.train": "train",
        ".training.run": "TrainOutcome",
        ".training.runs": "RunComparison RunSummary compare_runs list_runs",
        ".training.checks": "DataReport check_data smoke_test",
        ".training.estimate": "outline_training",
        ".evaluation.evaluate": "EvalResult evaluate",
        ".evaluation.scores": "compare_scores",
        ".evaluation.functions": "MetricFunction metric",
        ".evaluation.protocols": "list_protocols",
        ".errors": "DataError ImageError InpaintError PluginError RecipeError TrainingError "
        "WeightsError",
    },
)
