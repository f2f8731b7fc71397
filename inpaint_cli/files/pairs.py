"""The mask of each photo of a folder, by name and place, never by order.

Knows files by their names only; nothing is opened.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from ..errors import DataError
from .pictures import PICTURE_SUFFIXES, stem_key
from .stores import holds_files, list_masks, list_pictures, list_unread

MASK_NAME = re.compile(
    r"(.+)[-_.]mask\d*|mask\d*[-_](.+)|mask", re.IGNORECASE
)  # cat_mask001, mask-cat, cat.mask of shards


@dataclass(frozen=True)
class Pair:
    """A photo and its mask; `name` is the photo's place under its folder, with slashes."""

    name: str
    photo: Path
    mask: Path | None


@dataclass(frozen=True)
class Pairing:
    """The pairs in order of their names, and in a sentence each what found no partner."""

    pairs: Sequence[Pair]
    alone: Mapping[str, str] = field(default_factory=dict)  # photos, by name
    unused: Mapping[str, str] = field(default_factory=dict)  # masks, by name
    unread: Mapping[str, str] = field(default_factory=dict)  # what looks like photos, by name


def pair_files(
    photos: Path, masks: Path | None, *, only: Collection[str] = (), skip: Path | None = None
) -> Pairing:
    """Find the mask of each photo under `photos`, a folder or another store.

    `masks` is one file for all photos, a folder or another store, or None where none is needed. In
    the same subfolder, `cat.jpg` is paired with the mask `cat`, `cat_mask`, `cat-mask`, `cat.mask`,
    `cat_mask001`, `mask_cat` or `mask-cat` of any format, or else with the one called `mask`.
    The very same name, `cat.jpg`, goes before all others; who is in doubt then stays alone.
    Where `masks` is `photos`, masks are what is named so. `only` are patterns, one of which a
    photo's name must match; `skip` is a folder not to be read. Raises `DataError` where there
    is no photo.
    """
    if not holds_files(photos):
        raise DataError(
            f"{photos} is neither a folder, an archive, a table nor a list; `inpaint fill` takes a "
            "single photo"
        )
    apart = [skip] if skip else []
    if masks is not None and not masks.exists():
        raise DataError(f"{masks} does not exist; give a mask or a folder of masks")
    if masks is None or not holds_files(masks):
        places = list_pictures(photos, apart)
        if masks:
            same = {p for p in places.values() if p.name == masks.name and p.is_file()}
            own = {p for p in same if masks.samefile(p)}
            places = {n: p for n, p in places.items() if p not in own}
        found = Pairing([Pair(name, place, masks) for name, place in places.items()])
    elif masks.samefile(photos):
        both = list_pictures(photos, apart)
        shapes = {n: p for n, p in both.items() if MASK_NAME.fullmatch(PurePosixPath(n).stem)}
        places = {n: p for n, p in both.items() if n not in shapes}
        found = match_masks(photos, places, masks, shapes)
    else:
        shapes = list_masks(masks, [*apart, photos])
        found = match_masks(photos, list_pictures(photos, [*apart, masks]), masks, shapes)
    found = replace(found, unread=list_unread(photos, apart))
    if not found.pairs and not found.alone and found.unread:
        raise DataError(f"no photo in {photos} can be read: {next(iter(found.unread.values()))}")
    if not found.pairs and not found.alone:
        raise DataError(f"no photo in {photos}; what is read ends in {', '.join(PICTURE_SUFFIXES)}")
    return select_pairs(found, only) if only else found


def match_masks(
    photos: Path, places: Mapping[str, Path], masks: Path, shapes: Mapping[str, Path]
) -> Pairing:
    """Pair photos `places` with masks `shapes`, paths by name; who is in doubt stays alone."""
    namesakes, rivals = Counter(map(stem_key, places)), {*places}
    meant = defaultdict(list)  # masks by the photo they are named after
    for shape in shapes:
        folder, stem = stem_key(shape)
        words = MASK_NAME.fullmatch(stem)
        meant[folder, stem].append(shape)
        if words and (folder, stem) not in namesakes:
            meant[folder, words[1] or words[2]].append(shape)  # None: the folder's common mask
    pairs, alone, used = [], {}, set()
    for name in places:
        folder, stem = place = stem_key(name)
        own = prefer_same_name(name, meant.get(place, []), rivals)
        shared = meant.get((folder, None), [])
        found = own or shared
        used.update(found)
        if own and own != [name] and namesakes[place] > 1:
            doubles = " and ".join(other for other in places if stem_key(other) == place)
            alone[name] = (
                f"{places[name]} is one of {namesakes[place]} photos called {stem} there"
                f" ({doubles}), and {shapes[own[0]]} could belong to any; rename them"
            )
        elif len(found) > 1:
            alone[name] = (
                f"{places[name]} has {len(found)} masks: {', '.join(found)}; keep one of them"
            )
        elif not found:
            alone[name] = (
                f"{places[name]} has no mask; put one called {stem} or {stem}_mask into"
                f" {masks / folder}"
            )
        else:
            pairs.append(Pair(name, places[name], shapes[found[0]]))
    unused = {
        shape: f"{shapes[shape]} is the mask of no photo in {photos / stem_key(shape)[0]}"
        for shape in shapes
        if shape not in used
    }
    return Pairing(pairs, alone, unused)


def prefer_same_name(name: str, found: Sequence[str], rivals: Collection[str]) -> list[str]:
    """Return of files `found` the one called as `name`, or else those called as no rival."""
    return [name] if name in found else [other for other in found if other not in rivals]


def select_pairs(found: Pairing, only: Collection[str]) -> Pairing:
    """Keep what matches a pattern by its name, with or without its folders."""

    def wanted(name: str) -> bool:
        return any(fnmatch(name, p) or fnmatch(PurePosixPath(name).name, p) for p in only)

    pairs = [pair for pair in found.pairs if wanted(pair.name)]
    alone = {name: why for name, why in found.alone.items() if wanted(name)}
    if not pairs and not alone:
        raise DataError(f"no photo matches {' or '.join(only)}; a pattern looks like 'image.*'")
    unread = {name: why for name, why in found.unread.items() if wanted(name)}
    return Pairing(pairs, alone, found.unused, unread)
