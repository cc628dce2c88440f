"""Books that know less than the venue: put back from an earlier day, lost and rebuilt, or another machine's.

An order under our mark that the books never promised is ours. Its position is named as ours, nothing is opened while
nobody has looked, and one confirmation lets the exit rules manage it.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from commands import recover
from commands.reconcile import run as reconcile
from commands.unhalt import run as unhalt
from tests.faults import verdicts
from tests.kit.bot.stage import Stage
from tests.kit.bot.trader import UNTIL_FILLED_S, Said, Trader, in_a_session
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.wiring import App
from tradebot.model.finding import Finding
from tradebot.model.trading import TradingState

NEAR = True

BOOKS = ("ledger.db", "journal.jsonl")
STRANGERS = {"by_hand", "foreign_position", "foreign_order"}


def opened(trader: Trader) -> list[str]:
    """Return the symbols of the entries that the exchange took."""
    return [o["symbol"] for o in trader.told().accepted if verdicts.OPEN in o["client_order_id"]]


def kinds(trader: Trader) -> dict[str, str]:
    """Compare, and return the kind of each finding by its subject."""
    found: list[Finding] = []

    def compares(app: App) -> int:
        report = reconcile.run(app, by="test")
        found.extend(report.data.findings)
        return int(report.exit_code)

    assert trader.does(compares).code == (10 if found else 0)
    return {finding.subject: str(finding.kind) for finding in found}


def put_back(trader: Trader, place: Path) -> None:
    """Let the books be those of before AAPL was bought."""
    for name in BOOKS:
        shutil.copy(trader.folder / name, place)
    buys_and_fills(trader, "AAPL")
    for name in BOOKS:
        shutil.copy(place / name, trader.folder)


def lost(trader: Trader, place: Path) -> None:
    """Lose ledger and journal both, rebuild them from the venue alone, accept that, and end the halt."""
    buys_and_fills(trader, "AAPL")
    for name in BOOKS:
        (trader.folder / name).unlink()
    shutil.rmtree(trader.folder / "backups", ignore_errors=True)
    names: list[str] = []

    def rebuilds(app: App) -> int:
        names.append(str(recover.run(app, by="test").data.name))
        return 0

    tail = trader.bot.number[-4:]
    look = state_folder.read_marker
    assert trader.does(rebuilds, look).code == 0
    trader.does(lambda app: int(recover.run(app, by="test", accept=names[0], confirmed=tail).exit_code), look)
    trader.does(lambda app: int(unhalt.run(app, by="test", reason="accepted", confirmed=tail).exit_code))


def buys_and_fills(trader: Trader, symbol: str) -> None:
    assert trader.buys(symbol).code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0


def another_day(stage: Stage) -> None:
    stage.tick(to="close")
    in_a_session(stage)


def confirmed(trader: Trader) -> Said:
    """Accept the plan that the comparison makes: one confirmation, which names the position."""
    plans: list[str] = []

    def compares(app: App) -> int:
        report = reconcile.run(app, by="test")
        plans.append(str(report.data.plan_file))
        return int(report.exit_code)

    trader.does(compares)
    return trader.does(lambda app: int(reconcile.run(app, by="test", apply=plans[0]).exit_code))


WAYS: dict[str, Callable[[Trader, Path], None]] = {"put back": put_back, "lost": lost}


@pytest.mark.parametrize("later", [False, True], ids=["at once", "a day later"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_position_of_ours_that_the_books_do_not_know_is_no_strangers_and_shuts_entries(
    trader: Trader, tmp_path: Path, way: Callable[[Trader, Path], None], later: bool
) -> None:
    way(trader, tmp_path)
    if later:
        another_day(trader.stage)
    found = kinds(trader)
    assert found, "nothing is said"
    assert not STRANGERS & set(found.values()), found
    for symbols in (["MSFT"], ["AAPL"]):
        trader.buys(*symbols, again=True)
    assert opened(trader) == ["AAPL"]


@pytest.mark.parametrize("later", [False, True], ids=["at once", "a day later"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_one_confirmation_that_names_it_lets_the_exits_manage_it(
    trader: Trader, tmp_path: Path, way: Callable[[Trader, Path], None], later: bool
) -> None:
    way(trader, tmp_path)
    if later:
        another_day(trader.stage)
    bought = Decimal(trader.told().fills[-1]["position"])
    assert confirmed(trader).code in (0, 10)
    assert trader.held() == {"AAPL": bought}
    halt_switch.halt(trader.folder, "test", "leave", datetime.now(UTC), TradingState.FLATTEN)
    for _ in range(2):
        trader.exits()
        trader.stage.tick(seconds=UNTIL_FILLED_S)
    sold = [(order["side"], order["symbol"]) for order in trader.told().accepted]
    assert sold == [("buy", "AAPL"), ("sell", "AAPL")]
    assert trader.told().fills[-1]["position"] == "0"


def test_after_the_confirmation_the_halt_can_be_ended_and_entries_go_on(trader: Trader, tmp_path: Path) -> None:
    put_back(trader, tmp_path)
    another_day(trader.stage)
    trader.buys("MSFT", again=True)
    tail = trader.bot.number[-4:]
    ends = lambda app: int(unhalt.run(app, by="test", reason="read", confirmed=tail).exit_code)  # noqa: E731
    assert trader.does(ends).code != 0
    assert confirmed(trader).code in (0, 10)
    assert trader.does(ends).code == 0
    assert trader.buys("MSFT", again=True).code == 0
    assert opened(trader) == ["AAPL", "MSFT"]


def test_what_was_closed_since_the_books_were_kept_is_not_sold_again(trader: Trader, tmp_path: Path) -> None:
    buys_and_fills(trader, "AAPL")
    for name in BOOKS:
        shutil.copy(trader.folder / name, tmp_path)
    halt_switch.halt(trader.folder, "test", "leave", datetime.now(UTC), TradingState.FLATTEN)
    assert trader.exits().code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.exits().code == 0
    for name in BOOKS:
        shutil.copy(tmp_path / name, trader.folder)
    another_day(trader.stage)
    posts = trader.posts()
    assert kinds(trader)
    trader.exits()
    trader.buys("MSFT", again=True)
    assert trader.posts() == posts
    confirmed(trader)
    assert (trader.held(), trader.reconciles().code) == ({}, 0)


def test_a_second_writer_halts_the_bot_and_nothing_of_his_is_taken_over(
    trader: Trader, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Trader(trader.stage, trader.stage.twin(trader.bot))
    for one in (trader, other):
        assert one.reconciles().code == 0
    trader.stage.tick(seconds=61)
    buys_and_fills(trader, "AAPL")
    posts = trader.posts()
    other.buys("MSFT")
    other.exits()
    halt_switch.halt(other.folder, "test", "leave", datetime.now(UTC), TradingState.FLATTEN)
    other.exits()
    assert (other.posts(), other.held()) == (posts, {})
    assert halt_switch.read(other.folder).state is not TradingState.ACTIVE
