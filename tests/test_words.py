"""What is read is plain technical English: a short list of words stays out."""

import re

import pytest
from places import ROOT

BANNED = re.compile(r"\b(lest|anew|told|lies|dealt|whence|at hand)\b", re.IGNORECASE)
PLACES = ("inpaint_cli", "plugins", "recipes", "docs", "benchmarks")
PAGES = sorted(ROOT.glob("*.md"))
FILES = [
    path
    for place in PLACES
    for path in sorted((ROOT / place).rglob("*"))
    if path.suffix in {".py", ".md", ".yaml", ".html"} and "build" not in path.parts
]


@pytest.mark.parametrize("path", [*PAGES, *FILES], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_page_or_module_uses_a_word_of_the_list(path):
    lines = path.read_text("utf-8").splitlines()
    found = [f"{n}: {line.strip()}" for n, line in enumerate(lines, 1) if BANNED.search(line)]
    assert not found, "\n".join(found)
