"""What is installed, told to a person: the table of architectures."""

from inpaint_cli import registry


def architectures_table() -> str:
    """A markdown table of every architecture: what it is, its source and its licence."""
    rows = ["", "| architecture | | weights | trains | source | licence |", "|" + " --- |" * 6]
    for name in registry.find_plugins("architectures"):
        plugin = registry.load_plugin("architectures", name)
        cells = (
            f"`{name}`",
            (plugin.__doc__ or "").strip().splitlines()[0],
            "needs" if plugin.needs_weights else "none",
            "yes" if plugin.task else "no",
            plugin.source,
            plugin.licence,
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, "", ""])
