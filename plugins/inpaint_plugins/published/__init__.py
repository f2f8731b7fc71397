"""Published models that this program knows by name."""

from pathlib import Path

from inpaint_cli.api import Catalogue


class Published(Catalogue):
    """LaMa and other published inpainting networks, and where the authors' files are."""

    @staticmethod
    def path() -> Path:
        return Path(__file__).with_name("published.yaml")
