"""A market built once: building one loads the exchange calendar, so tests copy its file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exchange.worlds import SPEC, World, open_world
from tradebot.exchange.process import create
from tradebot.exchange.state import MARKET_FILE


@pytest.fixture(scope="session")
def market_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market")
    create(folder, SPEC)
    return folder / MARKET_FILE


@pytest.fixture(scope="session")
def new_folder(market_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what makes a folder with a fresh exchange of the standard market in it."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("exchange")
        shutil.copy(market_file, folder / MARKET_FILE)
        return folder

    return make


@pytest.fixture
def world(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder())
