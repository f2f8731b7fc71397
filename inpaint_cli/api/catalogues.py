"""The contract of catalogues, which name published models. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Catalogue(ABC):
    """A YAML or JSON file of published models, each under the name that fetches it.

    An entry has `summary`, `licence` (of the weights), `trained_on`, `source`, and `files`: each a
    `name`, `url`, `bytes` and full `sha256`, the first being the one that is loaded. Optional are
    `architecture`, for which they are weights, `needs`, what must be installed to run them, `also`
    (of a file: `bytes` and `sha256` of others that are as good), and `by_hand`, in place of files
    that cannot be fetched by name: a sentence on where they are and what to do with them.
    """

    @staticmethod
    @abstractmethod
    def path() -> Path:
        """Return the file, of the suffix .yaml or .json, which is read faster."""
