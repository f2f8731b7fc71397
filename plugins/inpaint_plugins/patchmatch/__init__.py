"""Fills a hole with pieces of the rest of the photo: the default filler.

It draws only what the photo shows: it repeats texture, continues edges and removes objects, but
knows nothing of faces or meaning.
"""

from inpaint_cli.api import Filler, Sizes


class PatchMatch(Filler):
    """Copies matching pieces of the same photo into the hole: textures, removed objects."""

    stochastic = True
    source = "Wexler et al. 2007; Barnes et al. 2009, PatchMatch; Newson et al. 2014"

    @property
    def sizes(self) -> Sizes:
        return Sizes(window=1536, context=192)

    def fill(self, rgb, hole, rng):
        from .model import inpaint

        return inpaint(rgb, hole, rng)
