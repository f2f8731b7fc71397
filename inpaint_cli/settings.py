"""Typed, immutable settings that refuse a key they do not know."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
PositiveCount = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Settings(BaseModel):
    """Base of all settings: of architectures, tasks, masks, metrics, data sets and recipes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_problem(error: ValidationError) -> str:
    """Return where the first problem of `error` is, and what it is, in a line."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))} {first['msg']}".strip()


def describe_settings(
    schema: type[Settings], *, leave_out: type[Settings] = Settings
) -> dict[str, Any]:
    """Return the `summary` of `schema`, its `settings` with their defaults, and `descriptions`.

    Settings without a default are "required"; those of `leave_out` are left out.
    """
    fields = {k: f for k, f in schema.model_fields.items() if k not in leave_out.model_fields}
    required = sorted(key for key, field in fields.items() if field.is_required())
    defaults = schema.model_construct().model_dump(mode="json", include={*fields})
    return {
        "summary": (schema.__doc__ or "").strip().partition("\n")[0],
        "settings": dict.fromkeys(required, "required") | defaults,
        "descriptions": {key: field.description or "" for key, field in fields.items()},
    }
