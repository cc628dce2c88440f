"""Fixtures: an exchange that speaks TWS, three hours into its first day, and a client of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.exchange.app import folders_of
from tests.kit.exchange.tws import Client, Desk, spec


@pytest.fixture(scope="session")
def fresh_futures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return folders_of(spec(), tmp_path_factory)


@pytest.fixture
def desk(fresh_futures: Callable[[], Path]) -> Desk:
    made = Desk(fresh_futures())
    made.tick(3 * 3600)
    return made


@pytest.fixture
def client(desk: Desk) -> Client:
    return desk.client()


@pytest.fixture(scope="module")
def shared_desk(fresh_futures: Callable[[], Path]) -> Desk:
    """Return an exchange that drawn examples share."""
    made = Desk(fresh_futures())
    made.tick(3 * 3600)
    return made
