"""Tables of the README that are made from the program."""

from inpaint_cli import registry
from inpaint_cli.models.catalogue import read_catalogues


def models_table() -> str:
    """Return a Markdown table of everything that fills: summary, source and licence."""
    rows = ["", "| model | | weights | trains | source | licence |", "|" + " --- |" * 6]
    for kind in ("fillers", "architectures"):
        for name in registry.find_plugins(kind):
            plugin = registry.load_plugin(kind, name)
            network = kind == "architectures"
            cells = (
                f"`{name}`",
                (plugin.__doc__ or "").strip().splitlines()[0],
                "needs" if network and plugin.needs_weights else "none",
                "yes" if network and plugin.trains() else "no",
                plugin.source,
                plugin.licence,
            )
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, "", ""])


def published_table() -> str:
    """Return a Markdown table of the published models: size, licence, training data and source."""
    rows = ["", "| name | | fetched | licence of the weights | trained on |", "|" + " --- |" * 5]
    for model in read_catalogues()[0].values():
        size = f"{model.bytes / 1e6:.0f} MB" if model.files else "by hand"
        cells = (f"`{model.name}`", model.summary, size, model.licence, model.trained_on)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, "", ""])
