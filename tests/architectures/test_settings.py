"""The settings of every built-in architecture: described, and refused where they cannot work."""

from typing import get_args

import pytest
from pydantic import ValidationError
from small import SMALL

from inpaint_cli import registry

ARCHITECTURES = {name: registry.load_plugin("architectures", name) for name in SMALL}
SETTINGS = {
    f"{name}.{section}": schema
    for name, architecture in ARCHITECTURES.items()
    for section, schema in (("model", architecture.settings), ("task", architecture.task.settings))
}
NUMBERS = [
    (where, name)
    for where, schema in SETTINGS.items()
    for name, field in schema.model_fields.items()
    if field.annotation is int or int in get_args(field.annotation)
]


@pytest.mark.parametrize("where", SETTINGS)
def test_every_setting_has_a_description(where):
    for name, field in SETTINGS[where].model_fields.items():
        assert (field.description or "").endswith("."), name


@pytest.mark.parametrize("value", [-1, 10**9])
@pytest.mark.parametrize(("where", "name"), NUMBERS)
def test_a_whole_number_out_of_range_is_refused_before_a_network_is_built(where, name, value):
    with pytest.raises(ValidationError) as caught:
        SETTINGS[where].model_validate({name: value})
    assert caught.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("gaussian", {"sight": 100}, "sight must be a multiple of 32"),
        ("gaussian", {"side": 30}, "multiple of 4"),
        ("in2", {"width": 7}, "multiple of heads"),
        ("in2", {"width": 2}, "ratio times width"),
        ("lama", {"width": 1, "downsamplings": 1}, "ratio times width"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(name, settings, reason):
    with pytest.raises(ValidationError, match=reason):
        ARCHITECTURES[name].settings.model_validate(settings)


@pytest.mark.parametrize("settings", [{"width": 64, "heads": 8, "attention": False}])
def test_settings_of_what_is_switched_off_are_not_held_against_the_rest(settings):
    ARCHITECTURES["in2"].settings.model_validate({**settings, "heads": 7})
