"""Where this checkout is, and the real photos and masks beside it (not on every machine)."""

from pathlib import Path

SUPPORT = Path(__file__).parent
TESTS = SUPPORT.parent
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "data"
