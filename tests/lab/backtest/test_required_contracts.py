"""What a bot needs of a file of contracts: from the close that a roll is joined at to the roll out of it."""

from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from tests.kit.backtest.playing import generated, lines_of, opened_from, written
from tradebot.app.settings import Settings, load
from tradebot.errors import OperatorError
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.required_contracts import describe_missing_contracts, roots_in

START, SESSIONS = date(2026, 12, 7), 3
MARKET = generated(START, SESSIONS, "MES")
"""MESZ6 is left on its second day."""
Open = Callable[..., OpenedMarket]


@cache
def rows() -> tuple[str, ...]:
    """Return what a file has that lacks nothing."""
    market = open_market_in_memory(MARKET).market()
    return (*lines_of(market, ["MESZ6"], (0, 1)), *lines_of(market, ["MESH7"], (0, 1, 2)))


def settings_of(*universe: str) -> Settings:
    return load(None, {}, {"venue": "ibkr", "universe": [*universe], "strategies": {"flow": None}}).settings


def lacking_in(folder: Path, kept: Callable[[str, str], bool], *universe: str) -> str:
    """Return what a file lacks that keeps some rows, by the start and the symbol of each."""
    left = (row for row in rows() if kept(*row.split(",")[:2]))
    return describe_missing_contracts(
        settings_of(*universe or ("MES",)), opened_from(written(folder / "bars.csv", left), MARKET)
    )


def test_file_with_every_contract_from_roll_to_roll_lacks_nothing_nor_a_month_written_out(tmp_path: Path) -> None:
    assert lacking_in(tmp_path, lambda at, symbol: True) == ""
    assert lacking_in(tmp_path, lambda at, symbol: symbol == "MESZ6", "MESZ6") == ""


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (lambda at, symbol: symbol == "MESZ6", "no bar of MESH7 in 3 sessions .*: 2026-12-07 to 2026-12-09$"),
        (lambda at, symbol: symbol == "MESH7", "no bar of MESZ6 in 2 sessions .*: 2026-12-07 to 2026-12-08$"),
        # Without a common session before the roll, nothing tells the ratio that history is joined by.
        (lambda at, symbol: symbol != "MESH7" or at > "2026-12-07T22", "no bar of MESH7 in 1 session .*: 2026-12-07$"),
        (lambda at, symbol: symbol != "MESZ6" or at < "2026-12-07T22", "no bar of MESZ6 in 1 session .*: 2026-12-08$"),
        (lambda at, symbol: symbol != "MESH7" or at < "2026-12-08T22", "no bar of MESH7 in 1 session .*: 2026-12-09$"),
    ],
)
def test_contract_that_a_roll_needs_and_that_is_not_there_is_refused_by_name_and_sessions(
    tmp_path: Path, kept: Callable[[str, str], bool], message: str
) -> None:
    with pytest.raises(OperatorError, match=message):
        lacking_in(tmp_path, kept)


def test_session_without_bars_in_between_and_ends_without_them_are_told(tmp_path: Path) -> None:
    hole = lacking_in(tmp_path, lambda at, symbol: symbol == "MESZ6" or not "2026-12-07T22" < at < "2026-12-08T22")
    assert hole == "MESH7 has none on 2026-12-08"
    early = lacking_in(tmp_path, lambda at, symbol: at < "2026-12-09T20:59")
    assert early == "MESH7 has none for over an hour at the start or end of 2026-12-09"
    assert lacking_in(tmp_path, lambda at, symbol: at < "2026-12-09T21:01") == ""
    late = lacking_in(tmp_path, lambda at, symbol: symbol == "MESH7" or at > "2026-12-07T01")
    assert late == "MESZ6 has none for over an hour at the start or end of 2026-12-07"


def test_profile_is_played_with_those_of_its_roots_that_a_file_has() -> None:
    settings = settings_of("MES", "MNQ", "6E")
    assert roots_in(settings, {"6EZ6", "MESZ6", "MESH7", "GCZ6"}) == ["MES", "6E"]
    with pytest.raises(OperatorError, match="contracts of GC, but the universe is MES, MNQ, 6E") as refused:
        roots_in(settings, {"GCZ6"})
    assert refused.value.hint == "add --symbols GC, or --symbol for a policy"
    with pytest.raises(OperatorError, match="no contract, such as MESZ6"):
        roots_in(settings, ())
    assert roots_in(load(None, {}, {"universe": ["AAPL"]}).settings, ()) == ["AAPL"]
