"""Exchanges with the Kraken face, an hour after their market began."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import KrakenExchange, spec


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return folders_of(spec(), tmp_path_factory)


@pytest.fixture
def desk(fresh: Callable[[], Path]) -> KrakenExchange:
    exchange = KrakenExchange(fresh())
    exchange.world.tick(seconds=3600)
    return exchange
