"""Exchanges in folders, made once and copied."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from exchange.tests.kit.app import World, open_world
from papervenue.creation import build
from papervenue.market.spec import MarketSpec


@pytest.fixture(scope="session")
def new_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[MarketSpec], World]:
    @cache
    def built(spec: MarketSpec) -> Path:
        folder = tmp_path_factory.mktemp("built")
        build(folder, spec)
        return folder

    def make(spec: MarketSpec) -> World:
        folder = tmp_path_factory.mktemp("exchange")
        shutil.copytree(built(spec), folder, dirs_exist_ok=True)
        return open_world(folder)

    return make
