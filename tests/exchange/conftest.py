"""A market built once: building one loads the exchange calendar, so tests copy its folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exchange.worlds import SPEC, World, open_world
from tradebot.exchange.process import create


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market")
    create(folder, SPEC)
    return folder


@pytest.fixture(scope="session")
def new_folder(market_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what makes a folder with a fresh exchange of the standard market in it."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("exchange")
        shutil.copytree(market_folder, folder, dirs_exist_ok=True)
        return folder

    return make


@pytest.fixture
def world(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder())
