"""Typed, immutable settings that refuse a key they do not know."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: of architectures, tasks, masks, metrics, data sets and recipes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
