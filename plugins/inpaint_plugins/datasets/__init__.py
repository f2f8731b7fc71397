"""Sources of images: files as they lie, and the published data sets with their official splits."""

from .files import Files
from .published import FFHQ, CelebA, CelebAHQ, ParisStreetView, Places2

__all__ = ["FFHQ", "CelebA", "CelebAHQ", "Files", "ParisStreetView", "Places2"]
