"""Published models that this program knows by name."""

from pathlib import Path

from inpaint_cli.api import Catalogue


class Published(Catalogue):
    """LaMa and other published inpainting networks, and where the authors' files are.

    A file is named only with a SHA-256 that two sources agree on. big-lama.pt is known by that of
    another export of the same network, too.
    """

    @staticmethod
    def path() -> Path:
        return Path(__file__).with_name("published.json")
