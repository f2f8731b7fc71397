"""What every filler and architecture says of the sizes that it takes."""

from ..api.sizes import Sizes

AWKWARD_SIZES = ((37, 53), (64, 40), (1, 1), (3, 70))  # heights and widths, to be padded


def check_sizes(sizes: Sizes) -> None:
    """Check that padded sizes are large enough and need no further padding."""
    for size in AWKWARD_SIZES:
        fit = sizes.fit(*size)
        assert fit >= size, f"{fit} does not hold {size}"
        assert sizes.fit(*fit) == fit, f"a size that fits, {fit}, must fit unchanged"
