import pytest
from toy import RECIPE, install, photos


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Toys, pictures and a recipe."""
    place = tmp_path_factory.mktemp("site")
    install(place)
    photos(place / "photos")
    (place / "toy.yaml").write_text(RECIPE)
    return place


@pytest.fixture
def toys(site, tmp_path, monkeypatch):
    """The same, with their plugins installed; the working directory is empty."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    return site
