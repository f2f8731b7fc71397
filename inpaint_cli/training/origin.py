"""Where a network comes from: data, holes, and the files of others that it starts from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..datasets.collection import Collection
from ..errors import InpaintError, TrainingError
from ..files.stamps import FileStamp
from ..models.weights import inspect_weights
from ..recipe.schema import Named
from ..registry import load_plugin
from ..settings import Settings
from ..wording import name_some
from .build import Built
from .checkpoint import names_fingerprint


@dataclass(frozen=True)
class Upstream:
    """A file with weights of others, or of an earlier run, that a training starts from."""

    part: str  # of the network; "": all of it
    file: str  # its name
    sha256: str
    data: str = ""  # the data set that it was trained on, as JSON; "": it does not say
    names: str = ""  # the hash of that set's list of images

    @classmethod
    def of(cls, part: str, path: Path) -> "Upstream":
        """Read what the header of `path`, if it has one of ours, says of its training."""
        try:
            header = inspect_weights(path).header
        except InpaintError:  # another program's
            header = {}
        sha256 = FileStamp.of(path).sha256
        return cls(part, path.name, sha256, header.get("train", ""), header.get("names", ""))

    def describe(self) -> str:
        """Return a clause about the file."""
        part = f"{self.part} from " if self.part else ""
        kind = json.loads(self.data).get("kind", "") if self.data else ""
        trained = f"trained on {kind}" if kind else "which does not say what it was trained on"
        return f"{part}{self.file} (SHA-256 {self.sha256[:16]}), {trained}"


def check_upstream(upstream: Upstream, train: Collection, test: Collection) -> None:
    """Raise `TrainingError` where `upstream` was trained on images of the validation, `test`.

    It is known where both lists have one hash, or where the images at `train` give the list that
    the file was trained on.
    """
    seen: set[str] = set()
    if upstream.names == names_fingerprint(test.names):
        seen = set(test.names)
    elif upstream.data and test.root == train.root:
        named = Named.model_validate_json(upstream.data)
        try:
            images = load_plugin("datasets", named.kind).model_validate(named.model_extra)
            names = images.names(train.root)
        except (InpaintError, ValueError):  # another data set than that at `train`
            return
        if upstream.names == names_fingerprint(names):
            seen = {*names} & {*test.names}
    if seen:
        raise TrainingError(
            f"{upstream.file} was trained on {len(seen)} images of this run's validation "
            f"({name_some(sorted(seen))}), whose scores would be too good; start from other weights"
        )


def json_text(settings: Settings) -> str:
    """Return settings as JSON in ASCII: paths need not be UTF-8."""
    return json.dumps(settings.model_dump(mode="json"))


def list_origins(
    built: Built, facts: Mapping[str, object], upstream: Sequence[Upstream]
) -> Iterator[tuple[str, str]]:
    """Yield the notes on a training for the header of its weights file."""
    data = built.recipe.data
    yield "data", data.train.kind
    yield "train", json_text(data.train)
    if data.val:
        yield "val", json_text(data.val)
    yield "masks", json_text(built.recipe.masks)
    for key, value in facts.items():
        yield key, str(value)
    for key, text in built.task.notes().items():
        yield key, text
    if upstream:
        yield "upstream", json.dumps([asdict(each) for each in upstream])
        yield "starts", "; ".join(each.describe() for each in upstream)
