"""A start from a snapshot and the lines after it reaches the same state as a start from all lines."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.kit.exchange.app import SPEC, open_world
from tests.kit.exchange.random_commands import Commands
from tests.kit.exchange.ring import keep, snapshot_of, state_of, without_snapshot
from tradebot.exchange.exchange import open_exchange
from tradebot.exchange.market.spec import NEXT_BAR, PAPER
from tradebot.exchange.process import create
from tradebot.exchange.snapshot.state import Snapshot, write_snapshot

FILLS = {"next-bar": NEXT_BAR, "paper": PAPER, "slow": NEXT_BAR._replace(latency_s=40)}


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a fresh exchange by fill model."""
    folder = tmp_path_factory.mktemp("markets")
    for name, fill in FILLS.items():
        create(folder / name, replace(SPEC, fill=fill))
    return {name: folder / name for name in FILLS}


class Cut(NamedTuple):
    """A snapshot that was taken on the way, and how many commands came before it."""

    after: int
    snapshot: Snapshot


@settings(max_examples=settings().max_examples // 5)
@given(
    seed=st.integers(0, 10**9),
    model=st.sampled_from(sorted(FILLS)),
    cuts=st.sets(st.integers(0, 60), min_size=1, max_size=3),
)
def test_start_from_a_snapshot_reaches_the_state_of_the_whole_log(
    markets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, seed: int, model: str, cuts: set[int]
) -> None:
    place = tmp_path_factory.mktemp("law")
    shutil.copytree(markets[model], place / "live")
    world = open_world(place / "live")
    commands, snapshots = Commands(world, seed), list[Cut]()
    world.tick(to="open")
    for number in range(61):
        if number in cuts:
            snapshots.append(Cut(number, snapshot_of(world.exchange, place / "live")))
        commands.step()
    log = world.exchange.log.path.read_bytes()
    expected = state_of(open_exchange(without_snapshot(place / "live", place / "whole")))
    assert state_of(world.exchange) == expected
    for after, snapshot in snapshots:
        folder = without_snapshot(place / "live", place / f"cut-{after}")
        write_snapshot(folder, snapshot)
        again = open_exchange(folder)
        assert again.log.known_lines == snapshot.log.lines
        assert again.log.path.read_bytes() == log
        assert state_of(again) == expected


@settings(max_examples=settings().max_examples // 5)
@given(
    seed=st.integers(0, 10**9),
    model=st.sampled_from(sorted(FILLS)),
    stops=st.sets(st.integers(0, 60), min_size=2, max_size=8),
)
@example(seed=272519, model="next-bar", stops={0, 39, 42})  # an account is reset between two stops
def test_restarts_change_neither_log_nor_state(
    markets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, seed: int, model: str, stops: set[int]
) -> None:
    place = tmp_path_factory.mktemp("law")
    logs, states = [], []
    for name, at in (("once", set[int]()), ("again", stops)):
        shutil.copytree(markets[model], place / name)
        world = open_world(place / name)
        commands = Commands(world, seed)
        world.tick(to="open")
        for number in range(61):
            if number in at:
                keep(world.exchange, place / name)
                commands.world = open_world(place / name)
                assert commands.world.exchange.log.known_lines == world.exchange.log.count
                world = commands.world
            commands.step()
        logs.append(world.exchange.log.path.read_bytes())
        states.append(state_of(world.exchange))
    assert logs[0] == logs[1]
    assert states[0] == states[1]
