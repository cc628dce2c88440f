"""Fixtures: an exchange that speaks TWS, three hours into its first day, and a client of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.tws import Client, TwsExchange, spec


@pytest.fixture(scope="session")
def fresh_futures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return folders_of(spec(), tmp_path_factory)


@pytest.fixture
def desk(fresh_futures: Callable[[], Path]) -> TwsExchange:
    exchange = TwsExchange(fresh_futures())
    exchange.tick(3 * 3600)
    return exchange


@pytest.fixture
def client(desk: TwsExchange) -> Client:
    return desk.client()


@pytest.fixture(scope="module")
def shared_desk(fresh_futures: Callable[[], Path]) -> TwsExchange:
    """Return an exchange that drawn examples share."""
    exchange = TwsExchange(fresh_futures())
    exchange.tick(3 * 3600)
    return exchange
