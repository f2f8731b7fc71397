"""Values out of YAML, whatever is wrong with it. Imports the package where it is first needed."""

from typing import Any

# what YAML's own readers of tagged values raise: !!timestamp x, !!int '', !!bool x
VALUE_ERRORS = (ValueError, AttributeError, LookupError, TypeError)


def load_yaml(text: str, *, fast: bool = False) -> Any:
    """Return the plain values in a YAML document.

    `fast` reads by libyaml where that is there, which gives other reasons for the same faults.
    Raises `ValueError`, with the reason, for what is none, and `RecursionError` for what is nested
    too deeply.

    >>> load_yaml("size: 64")
    {'size': 64}
    """
    import yaml  # takes longer to import than most documents to read

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if fast else yaml.SafeLoader
    try:
        return yaml.load(text, loader)
    except (yaml.YAMLError, *VALUE_ERRORS) as error:
        raise ValueError(str(error)) from error
