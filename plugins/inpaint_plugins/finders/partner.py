"""Files that belong to a photo: another picture of it, its annotations."""

from pathlib import Path

from inpaint_cli.api import DataError


def find_partner(path: Path, name: str, suffixes: frozenset[str] | None = None) -> Path:
    """Return `path`, or where it is a folder, the file in it named as the photo `name` is.

    The suffix may be another, of `suffixes` where they are given. Raises `DataError` where there is
    not exactly one such file.
    """
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"there is no file {path}; check the name", path=path)
        return path
    stem = Path(name).stem
    found = sorted(
        each
        for each in path.iterdir()
        if each.stem == stem and (suffixes is None or each.suffix.lower() in suffixes)
    )
    if len(found) != 1:
        what = "no file" if not found else "several files"
        raise DataError(f"{path} has {what} called {stem}; each photo needs one", path=path)
    return found[0]
