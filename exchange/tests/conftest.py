"""A market built once: building one loads the exchange calendar, so tests copy its folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchange.tests.kit.app import SPEC, World, folders_of, open_world
from exchange.tests.kit.served import Served, served
from papervenue.exchange import open_exchange


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what makes a folder with a fresh exchange of the standard market in it."""
    return folders_of(SPEC, tmp_path_factory)


@pytest.fixture
def world(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder())


@pytest.fixture(scope="module")
def server(new_folder: Callable[[], Path]) -> Iterator[Served]:
    """Yield a served exchange half an hour into its first session."""
    with served(new_folder()) as server:
        server.tick(to="open")
        server.tick(seconds=1800)
        yield server


@pytest.fixture
def venue(new_folder: Callable[[], Path]) -> Iterator[World]:
    """Yield an exchange half an hour into its first session; afterwards its log must replay."""
    folder = new_folder()
    world = open_world(folder, to="open")
    world.tick(seconds=1800)
    yield world
    armed = [(one.rule.name, one.seen, one.fired) for one in world.exchange.faults.book]
    world.exchange.commit()
    lines = world.exchange.log.lines()
    again = open_exchange(folder)
    assert again.log.lines()[: len(lines)] == lines
    assert [(one.rule.name, one.seen, one.fired) for one in again.faults.book] == armed


@pytest.fixture
def trading(world: World) -> World:
    """Return an exchange ten minutes into its first session."""
    world.tick(to="open")
    world.tick(seconds=600)
    return world
