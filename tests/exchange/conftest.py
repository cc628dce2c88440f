"""A market built once: building one loads the exchange calendar, so tests copy its folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exchange.worlds import SPEC, World, folders_of, open_world


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what makes a folder with a fresh exchange of the standard market in it."""
    return folders_of(SPEC, tmp_path_factory)


@pytest.fixture
def world(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder())
