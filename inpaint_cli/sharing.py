"""Weights as a folder to share: the file, a card that says what they are, a sheet, numbers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from . import registry
from .api.architectures import Architecture
from .arguments import AnyPath, check_arguments
from .errors import ArgumentError, DataError, InpaintError, WeightsError, blame_path
from .evaluation.protocols import ALL
from .evaluation.scores import RESULT_FILES, read_result
from .files.stamps import hash_file
from .files.write import atomic_path, check_free
from .models.choose import locate_weights
from .models.hub import HUB_NAME
from .models.weights import (
    WeightsContents,
    check_fit,
    export_weights,
    inspect_weights,
    read_plan,
)
from .training.folder import RunFolder, read_log
from .wording import json_number, number_text

PUBLISHED = "model.safetensors", "README.md", "numbers.json", "sheet.png"
LICENCES = {  # what the Hub calls them
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "bsd-3-clause": "bsd-3-clause",
    "gpl-3.0": "gpl-3.0",
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "cc by 4.0": "cc-by-4.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc by-nc 4.0": "cc-by-nc-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0",
    "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0",
}
RESTRICTED = re.compile(r"research|non-?commercial|\bnc\b|education", re.IGNORECASE)
ORIGINS = {  # what a header says of the training, in the words of the card
    "masks": "Holes",
    "recipe": "Recipe",
    "step": "Steps",
    "stage": "Last stage",
    "starts": "Started from",
    "without": "Trained without",
    "parser": "Finds regions by",
    "converted": "Converted from",
    "by": "By",
}


@dataclass(frozen=True)
class PublishedWeights:
    """A folder with weights to share."""

    folder: Path
    files: Sequence[Path]
    notes: Sequence[str] = ()  # what whoever shares it should know, in sentences


@dataclass(frozen=True)
class WeightsCard:
    """What is known of weights, for a card in Markdown."""

    contents: WeightsContents
    sha256: str
    repository: str = ""  # "owner/name" on the Hub
    results: Sequence[Mapping[str, Any]] = ()  # contents of result.json
    validation: Mapping[str, float] = field(default_factory=dict)  # scores during the training
    sheet: str = ""  # what its sheet shows

    @cached_property
    def header(self) -> Mapping[str, str]:
        """The header, each text on one line."""
        return {key: " ".join(text.split()) for key, text in self.contents.header.items()}

    @property
    def architecture(self) -> str:
        return self.header["architecture"]

    @property
    def licence(self) -> str:
        return self.header.get("licence", "")

    @property
    def data(self) -> str:
        """What they were trained on, in words; "" where nothing says it."""
        kind = self.header.get("data", "")
        return self.header.get("trained_on", "") or ("" if kind == "files" else kind)

    @property
    def data_licence(self) -> str:
        """The licence of the data set, where it is one of the installed plugins."""
        kind = self.header.get("data", "")
        known = kind in registry.find_plugins("datasets")
        return registry.load_plugin("datasets", kind).licence if known else ""

    @property
    def restricted(self) -> bool:
        """Whether the weights, or what they were trained on, are for research alone."""
        return bool(RESTRICTED.search(f"{self.licence} {self.data_licence}"))

    def text(self) -> str:
        """Return the card, whose front matter is the Hub's."""
        front = yaml.safe_dump(self.front_matter(), sort_keys=False, allow_unicode=True)
        sections = [f"# {self.title}", self.summary(), *self.sections()]
        return f"---\n{front}---\n\n" + "\n\n".join(filter(None, sections)) + "\n"

    @property
    def title(self) -> str:
        return self.repository.partition("/")[2] or f"Inpainting with {self.architecture}"

    def front_matter(self) -> dict[str, Any]:
        name = LICENCES.get(self.licence.lower())
        if self.restricted and not RESTRICTED.search(self.licence):
            name = None  # that of the data binds what was trained on them
        values: dict[str, Any] = {"license": name or "other"}
        if name is None:
            own = "research-only" if self.restricted else slug(self.licence) or "not-said"
            values["license_name"] = own
        return values | {
            "library_name": "inpaint-cli",
            "pipeline_tag": "image-to-image",
            "tags": ["inpainting", "image-inpainting", self.architecture],
        }

    def summary(self) -> str:
        plugin: type[Architecture] = registry.load_plugin("architectures", self.architecture)
        about = (plugin.__doc__ or "").strip().partition("\n")[0]
        parts = [
            self.header.get("summary", ""),
            f"Weights that fill holes in photos, for `{self.architecture}`: {about}",
            f"Source: {plugin.source}." if plugin.source else "",
        ]
        return "\n\n".join(filter(None, parts))

    def sections(self) -> Iterator[str]:
        where = f"hf:{self.repository or 'OWNER/NAME'}"
        yield (
            "## Use\n\n```\npip install inpaint-cli\n"
            f"inpaint fill photo.jpg --mask mask.png --weights {where}\n```\n\n"
            "```python\nimport inpaint_cli as inpaint\n\n"
            f'model = inpaint.load_model("{where}")\n'
            'inpaint.fill("photo.jpg", mask="mask.png", model=model).save("filled.jpg")\n```'
        )
        yield f"## Licence\n\n{self.licence_text()}"
        yield f"## Training\n\n{self.training_text()}"
        if self.sheet:
            yield f"## Fills\n\n![{self.sheet}](sheet.png)"
        if self.results or self.validation:
            yield "\n\n".join(["## Scores", *map(score_section, self.results), *self.scored()])
        yield f"## File\n\n{self.file_text()}"

    def licence_text(self) -> str:
        lines = [f"Weights: {self.licence or 'not said; ask whoever shares them'}."]
        if self.data_licence:
            lines.append(f"Photos they were trained on: {self.data_licence}.")
        if self.restricted:
            lines.append("**For research only**: do not use them commercially.")
        return "\n".join(f"- {line}" for line in lines)

    def training_text(self) -> str:
        lines = [f"- Data: {self.data or 'its own photos, which nothing describes'}"]
        for key, title in ORIGINS.items():
            if text := self.header.get(key):
                lines.append(f"- {title}: {text}")
        settings = json.loads(self.header["settings"])
        rows = [f"| `{key}` | `{json.dumps(value)}` |" for key, value in settings.items()]
        table = "\n".join(["| setting | |", "| --- | --- |", *rows]) if rows else "No settings."
        return "\n".join(lines) + f"\n\n{table}"

    def scored(self) -> Iterator[str]:
        if self.validation:
            scores = ", ".join(f"{k} {number_text(v)}" for k, v in self.validation.items())
            yield f"In its validation during the training: {scores}."

    def file_text(self) -> str:
        kinds = sorted({kind for kind, _ in self.contents.tensors.values()})
        return (
            f"`model.safetensors`: {self.contents.bytes:,} bytes, {self.contents.values:,} numbers"
            f" ({', '.join(kinds)}), SHA-256 `{self.sha256}`. Its header names the architecture"
            " and its settings; nothing in it is executed."
        )

    def numbers(self) -> dict[str, Any]:
        """Return what the card says in values for JSON; no names of photos."""
        return {
            "architecture": self.architecture,
            "header": dict(sorted(self.header.items())),
            "bytes": self.contents.bytes,
            "values": self.contents.values,
            "sha256": self.sha256,
            "validation": {key: json_number(score) for key, score in self.validation.items()},
            "results": [
                {k: v for k, v in result.items() if k != "images"}
                | {"count": len(result["images"])}
                for result in self.results
            ],
        }


def slug(text: str) -> str:
    """Return `text` in lower case, with nothing but letters, digits, points and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")[:60]


def score_section(result: Mapping[str, Any]) -> str:
    """Return the scores of a result.json as a table, and how they were measured."""
    columns = list(next(iter(result["table"].values()), {}))
    rows = [f"| metric | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for label, values in result["table"].items():
        about = result.get("metrics", {}).get(label, {})
        arrow = {"higher": " ↑", "lower": " ↓"}.get(about.get("better"), "")
        unit = f" {about['unit']}" if about.get("unit") else ""
        cells = [score_cell(values.get(column), bounds=column == ALL) for column in columns]
        note = f", {about['note']}" if about.get("note") else ""
        rows.append(f"| {label}{unit}{arrow}{note} | {' | '.join(cells)} |")
    masks = f", holes {result['masks']}" if result.get("masks") else ""
    how = (
        f"`{result['title']}` on {len(result['images'])} photos by the protocol"
        f" `{result.get('protocol', '')}` (fingerprint `{result['fingerprint']}`,"
        f" test set `{result['content']}`, seed {result['seed']}){masks}."
        " Results of equal fingerprints can be compared."
    )
    return f"{how}\n\n" + "\n".join(rows)


def score_cell(score: Mapping[str, Any] | None, *, bounds: bool) -> str:
    if score is None or score["value"] is None:
        return "-"
    text = number_text(float(score["value"]))
    if bounds and None not in (score.get("low"), score.get("high")):
        text += f" [{number_text(float(score['low']))}, {number_text(float(score['high']))}]"
    return text


@dataclass(frozen=True)
class WeightsSource:
    """Weights to share, and what is beside them in a training's folder."""

    weights: Path
    validation: Mapping[str, float] = field(default_factory=dict)
    sheet: Path | None = None

    @classmethod
    def of(cls, given: Path) -> WeightsSource:
        """Read a weights file, or the best weights of a training's folder."""
        if not given.is_dir():
            return cls(locate_weights(given))
        run = RunFolder(given)
        weights = run.best if run.best.is_file() else run.weights
        if not weights.is_file():
            raise WeightsError(
                f"{given} has no {run.weights.name}; give a weights file, or a training's folder"
            )
        step = inspect_weights(weights).header.get("step", "")
        found = [e for e in read_log(run.log) if e["event"] == "validation"]
        events = [e for e in found if str(e["step"]) == step]
        sheet = run.sheet(int(step) if step.isdecimal() else 0)
        scores = events[-1].get("scores", {}) if events else {}
        return cls(weights, scores, sheet if sheet.is_file() else None)


@check_arguments
def publish_weights(
    weights: AnyPath,
    output: AnyPath,
    *,
    scores: Sequence[AnyPath] = (),
    repository: str = "",
    notes: Mapping[str, str] | None = None,
    sheet: bool = True,
    overwrite: bool = False,
) -> PublishedWeights:
    """Make the folder `output`, which whoever shares `weights` uploads; the same one each time.

    `weights` is a weights file of ours or the folder of a training. `scores` are folders of
    `inpaint eval -o`, or files result.json, whose scores go onto the card; the sheet is that of
    the first with one, else the training's, and is left out unless `sheet`. `repository` is the
    "owner/name" that the card tells its readers to use, and `notes` go into the header: licence,
    trained_on, summary, by, ... Other files in the folder stay. Raises `InpaintError` where one
    of these names is taken, unless `overwrite`, and `WeightsError` where the file is not ours.

    >>> publish_weights("run", "to-share", scores=["eval"]).files  # doctest: +SKIP
    """
    if repository and not HUB_NAME.fullmatch(f"hf:{repository}"):
        raise ArgumentError("repository", f"should be OWNER/NAME, not '{repository}'")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise InpaintError(f"{folder} is a file; name a folder")
    for name in PUBLISHED:
        check_free(folder / name, overwrite=overwrite)
    source = WeightsSource.of(Path(weights))
    evaluations = [Evaluated.of(Path(path)) for path in scores]
    found = inspect_weights(source.weights)
    if found.ours:
        check_fit(found, *read_plan(found)[1:])
    target, readme, numbers, picture = (folder / name for name in PUBLISHED)
    contents = export_weights(source.weights, target, notes=notes or {}, customary=True)
    pictures = [e.sheet for e in evaluations if e.sheet]
    shown = (pictures[0] if pictures else source.sheet) if sheet else None
    card = WeightsCard(
        contents,
        hash_file(target),
        repository,
        [e.result for e in evaluations],
        source.validation,
        ("the worst fills by the first scores" if pictures else "fills of the validation")
        if shown
        else "",
    )
    write_sheet(shown, picture)
    for path, text in ((readme, card.text()), (numbers, json_text(card.numbers()))):
        with atomic_path(path) as temporary:
            temporary.write_text(text, "utf-8")
    files = [target, readme, numbers, *([picture] if shown else [])]
    return PublishedWeights(folder, files, tuple(sharing_notes(card)))


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation, and its sheet."""

    result: Mapping[str, Any]
    sheet: Path | None

    @classmethod
    @blame_path
    def of(cls, path: Path) -> Evaluated:
        """Read the folder of an evaluation, or its result.json; raises `DataError`."""
        _, name, _, sheet = RESULT_FILES
        file = path / name if path.is_dir() else path
        result, picture = read_result(file), file.with_name(sheet)
        try:
            score_section(result)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{file} is damaged: {error!r}; evaluate again") from error
        return cls(result, picture if picture.is_file() else None)


def write_sheet(source: Path | None, target: Path) -> None:
    """Copy the picture `source` to `target`; without one remove an earlier sheet."""
    if source is None:
        target.unlink(missing_ok=True)
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def json_text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def sharing_notes(card: WeightsCard) -> Iterator[str]:
    """Yield what whoever shares the folder should know or add."""
    if not card.licence:
        yield "nothing says under which licence the weights are: --note licence=..."
    if not card.data:
        yield "nothing says what they were trained on: --note trained_on='photos of ...'"
    if card.restricted:
        yield "the card says that they are for research only"
    if card.sheet:
        yield f"{PUBLISHED[-1]} shows photos: share it only if you may, or leave it out, --no-sheet"
    if not card.repository:
        yield "the card says hf:OWNER/NAME: name its repository with --repository"
