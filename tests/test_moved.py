"""A plugin of version 0.1 that does not load any more is told the one change to make."""

import importlib
import sys

import pytest
from toy import declare

from inpaint_cli import api, registry
from inpaint_cli.errors import PluginError
from inpaint_cli.moved import MOVED_NAMES, REMOVED_MODULES

OLD_FORMS = {
    "from": "from {module} import {name}\n",
    "attribute": "import {module}\n{module}.{name}\n",
    "alias": "from {package} import {leaf}\n{leaf}.{name}\n",
}


@pytest.fixture
def load_old(tmp_path, monkeypatch):
    """Load an architecture of the package inpaint-old, whose module has the given code."""
    declare(tmp_path, "inpaint-old", "[inpaint.architectures]\nold = old_plugin:Old\n")
    monkeypatch.syspath_prepend(tmp_path)

    def load(code: str) -> str:
        (tmp_path / "old_plugin.py").write_text(code)
        importlib.invalidate_caches()
        with pytest.raises(PluginError) as caught:
            registry.load_plugin("architectures", "old")
        return str(caught.value)

    yield load
    sys.modules.pop("old_plugin", None)


def exists(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize("form", OLD_FORMS)
@pytest.mark.parametrize("old", MOVED_NAMES | REMOVED_MODULES)
def test_an_old_name_is_reported_with_what_to_write_now(old, form, load_old):
    module, _, name = old.rpartition(".")
    if (
        not exists(module) or module == "inpaint_cli" or old in REMOVED_MODULES
    ):  # a whole module is gone
        module, name = old, "anything"
    package, _, leaf = module.rpartition(".")
    error = load_old(OLD_FORMS[form].format(module=module, name=name, package=package, leaf=leaf))
    if old in REMOVED_MODULES:
        now = f"{old} was removed: {REMOVED_MODULES[old]}"
    else:
        now = (
            f"{old} has moved: import {' or '.join(MOVED_NAMES[old].split())} from inpaint_cli.api"
        )
    assert error == f"inpaint-old 1.0 failed to load 'old': {now}"


@pytest.mark.parametrize("old", MOVED_NAMES)
def test_what_replaces_an_old_name_exists(old):
    for name in MOVED_NAMES[old].split():
        assert getattr(api, name) is not None


@pytest.mark.parametrize("old", MOVED_NAMES | REMOVED_MODULES)
def test_an_old_name_is_gone(old):
    module, _, name = old.rpartition(".")
    assert not exists(old)
    assert not hasattr(importlib.import_module(module), name)


def test_any_other_error_is_shown_as_it_is(load_old):
    error = load_old("import a_library_that_is_not_there\n")
    assert error.startswith("inpaint-old 1.0 failed to load 'old': ModuleNotFoundError(")
    assert error.endswith("; update or uninstall it")
