"""Exchanges with the Kraken face, an hour after their market began."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.exchange.app import folders_of
from tests.kit.exchange.kraken import Desk, spec


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return folders_of(spec(), tmp_path_factory)


@pytest.fixture
def desk(fresh: Callable[[], Path]) -> Desk:
    made = Desk(fresh())
    made.world.tick(seconds=3600)
    return made
