import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from .types import backbone_options, model_options

DATA_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument(
    "paths", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULTS TRUTH|RECIPE]"
)
@click.option(
    "--masks",
    type=click.Path(exists=True, path_type=Path),
    help="The masks of the photos, by name: needed for bins and for scores of holes.",
)
@model_options
@click.option("--data", type=DATA_FOLDER, help="Where the photos lie that a model is to fill.")
@click.option(
    "--resize",
    type=click.IntRange(1),
    metavar="SIDE",
    help="Show the model each photo stretched to SIDE x SIDE, and stretch its fill back.",
)
@click.option(
    "--protocol",
    default="house",
    show_default=True,
    metavar="NAME|FILE",
    help="All conventions under one name; --list shows them.",
)
@click.option("--list", "listing", is_flag=True, help="List the protocols and stop.")
@click.option(
    "--features",
    type=click.Choice(["published", "random", "none"]),
    default="published",
    show_default=True,
    help="Weights of the networks inside metrics such as FID: published, random (marked in the"
    " table), or none to skip these metrics.",
)
@backbone_options
@click.option("--beside", metavar="SET", help="Print the paper's rows on this data set too.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write report.html, result.json, images.csv and worst.png there.",
)
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    metavar="N",
    help="How many of the worst images to show.",
)
@click.option("--title", help="Name of what is evaluated; default: its folder or model.")
@click.option("--compare", is_flag=True, help="Compare two result.json, given instead of folders.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="cpu, cuda, cuda:1, mps; auto: the first of cuda, mps, cpu that is there.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed for fills, for masks drawn or dealt at random, and for confidence intervals.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    metavar="N",
    help="Pixels a side of a model's photos, where the protocol leaves that open.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def eval_command(
    context: click.Context,
    paths: tuple[Path, ...],
    masks: Path | None,
    model: Any,
    data: Path | None,
    resize: int | None,
    protocol: str,
    listing: bool,
    features: str,
    beside: str | None,
    output: Path | None,
    worst: int,
    title: str | None,
    compare: bool,
    device: str,
    seed: int,
    size: int | None,
    as_json: bool,
) -> None:
    """Measure fills by a named protocol.

    \b
    Examples:
      inpaint eval filled truth --masks masks -o scores
      inpaint eval --model telea --data photos --masks masks --features none
      inpaint eval --weights run/weights.safetensors --data faces recipes/faces-small.yaml
      inpaint eval --compare scores/result.json others/result.json
      accelerate launch -m inpaint_cli eval filled truth --masks masks

    RESULTS holds fills under the names of the photos in TRUTH; files without a partner are
    listed, and nothing is resized. With a model, the photos of --data are brought to the size of
    the protocol, else of --size, else of RECIPE, and filled here; their masks are those of --masks,
    or drawn as RECIPE says.
    """
    from ..evaluation import protocols
    from ..evaluation import results as scorecard

    if listing:
        summaries = {
            name: protocols.read_protocol(name).protocol.summary
            for name in protocols.protocol_names()
        }
        if as_json:
            rows = [{"name": name, "summary": line} for name, line in summaries.items()]
            click.echo(json.dumps(rows, indent=1))
            return
        for name, line in summaries.items():
            click.echo(f"{name:16}{line}")
        return
    if compare:
        comparison = scorecard.compare_results(*both(paths, "--compare takes two result.json"))
        if as_json:
            click.echo(json.dumps(comparison.data(), indent=1))
            return
        table = comparison.table()
        click.echo(table.text())
        tell([table.caption])
        return

    from ..evaluation import measure as evaluate
    from ..evaluation import samples as cases

    plan = protocols.read_protocol(protocol, features=features)
    where = evaluate.evaluation_device(device)
    if model.name or model.weights:
        if data is None or len(paths) > 1:
            raise click.UsageError("a model needs --data, and takes at most a RECIPE besides")
        plan = protocols.plan_at_size(plan, size or plan.protocol.size or cases.recipe_size(paths))
        found = cases.model_results(
            model,
            data,
            masks,
            paths,
            plan.protocol,
            seed=seed,
            device=str(where),
            resize=resize,
        )
        title = title or (model.name or Path(model.weights or "").stem) + (
            f", {resize}" if resize else ""
        )
    else:
        for option, value in {"--data": data, "--resize": resize, "--size": size}.items():
            if value is not None:
                raise click.UsageError(f"{option} goes with --model or --weights")
        results, truth = both(paths, "give RESULTS and TRUTH, or --model or --weights with --data")
        found = cases.pair_results(results, truth, masks, plan.protocol)
        title = title or str(results.resolve().name)
    result = evaluate.measure_samples(found, plan, title=title, seed=seed, device=where)
    if result is None:  # another process reports
        return
    tell(scorecard.result_notes(result))
    written = scorecard.write_results(result, found, output, worst=worst) if output else []
    if as_json:
        click.echo(json.dumps(scorecard.results_data(result), indent=1))
        return
    click.echo(f"{title} by {plan.name} ({plan.fingerprint})")
    click.echo(scorecard.results_table(result).text())
    for table in scorecard.published_tables(result, beside) if beside or not output else []:
        click.echo(f"\n{table.caption}\n{table.text()}")
    for path in written:
        click.echo(path)


def both(paths: tuple[Path, ...], otherwise: str) -> tuple[Path, Path]:
    if len(paths) != 2:
        raise click.UsageError(otherwise)
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"{path} does not exist")
    return paths[0], paths[1]


def tell(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(note, err=True)
