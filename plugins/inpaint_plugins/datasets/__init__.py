"""Sources of images: files in folders or archives, and published data sets with their splits."""

from .files import Files
from .published import FFHQ, CelebA, CelebAHQ, ParisStreetView, Places2

__all__ = ["FFHQ", "CelebA", "CelebAHQ", "Files", "ParisStreetView", "Places2"]
