"""An account's past, read from the folder of a bot that bought and sold."""

import shutil
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from pathlib import Path

import pytest

from commands.shared.history import read_history
from commands.shared.verb_options import open_bot
from tests.kit.bot.folder import Bot
from tests.kit.ledgers import edit
from tests.kit.values import DAY, NOW
from tradebot.adapters.ledger import file as ledger_file
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import rebuild
from tradebot.adapters.state import state_folder
from tradebot.errors import DamagedBooksError
from tradebot.model.account import Booking, Entry
from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE
from tradebot.model.order import Fill
from tradebot.model.position import ADOPTED, FOREIGN, EntryTerms, Marks, Origin, OwnedFill, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.reconciliation.catch_up import reassign
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import trades


def read(bot: Bot) -> History:
    with open_bot(str(bot.folder), None) as app:
        return read_history(app)


def trade_and_flatten(bot: Bot) -> History:
    """Let a bot trade and close everything; return its history from before it closed."""
    assert bot.json("trade-once")["orders"] >= 1
    bot.does("exchange tick 5m", "evaluate-exits")
    held = read(bot)
    bot.does("flatten --all --confirm ALL", "exchange tick 5m")
    assert bot.says("reconcile").code in (0, 10)
    return held


@pytest.fixture
def closed_trader(shared_trader: Bot) -> Bot:
    """Return the module's bot once it has traded, whichever tests of this module run."""
    if not read(shared_trader).fills:
        trade_and_flatten(shared_trader)
    return shared_trader


def test_sessions_before_the_books_were_opened_are_no_part_of_the_history(bot: Bot) -> None:
    bot.says("trade-once")
    assert read(bot).ends == ()
    bot.does("exchange tick open", "exchange tick 5m", "evaluate-exits")
    assert [end.session for end in read(bot).ends] == [DAY]


def test_history_has_trades_with_their_orders(shared_trader: Bot) -> None:
    bot = shared_trader
    held = trade_and_flatten(bot)
    past = read(bot)
    (end,) = held.ends
    assert held.marks == end.marks
    assert set(end.marks) == {trade.symbol for trade in trades(held.fills)}
    assert (end.equity is not None, end.equity_at, end.session) == (True, held.at, held.at and held.at.date())
    assert past.fills[: len(held.fills)] == held.fills
    made = trades(past.fills)
    assert made
    assert all(trade.closed_at for trade in made)
    for trade in made:
        kept = past.kept[trade.strategy, trade.symbol, trade.opened_at]
        assert None not in (kept.entry_score, kept.best, kept.worst)
        for name in trade.exit_orders:
            sent = past.sent[name]
            assert sent.intents[0].client_order_id == sent.order.client_order_id
            assert (sent.intents[0].why, sent.intents[0].protects) == ("closed_by_hand", False)
            assert None not in (sent.intents[0].send_mid, sent.intents[0].send_mid_at)
    assert set(past.sent) == {owned.fill.venue_order_id for owned in past.fills}
    with open_bot(str(bot.folder), None) as app:
        whole = app.ledger_view.entry_terms(list(past.kept))
        assert past.kept == {
            key: replace(one, instrument=None, first_gain=None, worst_price=None) for key, one in whole.items()
        }, "nobody asks its tick, what its gates used, or where its price was when it filled"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let books count as too large to be read through by whoever only looks."""
    monkeypatch.setattr(ledger_file, "LARGE", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            'UPDATE fills SET body = replace(body, \'"quantity":"\', \'"quantity":"1\') WHERE sequence = 2',
            "rows? of fills|row 2 of fills",
        ),
        ("DELETE FROM fills WHERE sequence = 1", "the ones that were written|but [0-9]+ were written"),
        ("UPDATE fill_seals SET fills = 7", "rows? (1 )?of fill_seals"),
        ("UPDATE book SET opening_cash = '1'", "row 1 of book|the row that describes it"),
        ("UPDATE intents SET intent = '{}' WHERE sequence = 1", "1 of [0-9]+ rows of intents were changed"),
        ("UPDATE high_water SET price = 'none'", "[0-9]+ of [0-9]+ rows of high_water were changed"),
    ],
)
def test_history_names_a_damaged_money_row(copy: Bot, closed_trader: Bot, change: str, problem: str) -> None:
    shutil.copyfile(closed_trader.folder / "ledger.db", copy.folder / "ledger.db")
    edit(copy.folder / "ledger.db", change)
    with pytest.raises(DamagedBooksError, match=problem):
        read(copy)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("change", ["UPDATE trade_notes SET note = 'not mine'", "UPDATE trade_notes SET tags = '['"])
def test_history_names_a_changed_note(copy: Bot, change: str) -> None:
    with closing(SqliteLedger.open(copy.folder)) as books:
        books.note_trade(TradeNote(("flow", "AAPL", NOW), ("kept",), "mine", "ann", NOW))
    edit(copy.folder / "ledger.db", change)
    with pytest.raises(DamagedBooksError, match="row 1 of trade_notes was changed after it was written"):
        read(copy)


def test_history_is_the_same_after_a_rebuild(closed_trader: Bot, tmp_path: Path) -> None:
    whole = Bot(tmp_path / "state", closed_trader._capture)
    shutil.copytree(closed_trader.folder, whole.folder, ignore=shutil.ignore_patterns("exchange", "HALT"))
    trade = next(iter(read(whole).kept))
    with closing(SqliteLedger.open(whole.folder)) as books:
        assert books.book(Booking((Entry("fee", "FEE", Decimal("-0.02"), "FEE/REG", NOW),)), NOW)
        books.note_trade(TradeNote(trade, ("kept",), "a note", "ann", NOW))
    before, folder = read(whole), state_folder.open_state(whole.folder)
    (whole.folder / "ledger.db").unlink()
    rebuild.rebuild(folder, "lost", NOW)
    after = read(whole)
    same = attrgetter("fills", "cash", "notes", "opening_cash", "opened_at", "ends", "marks", "stops")
    assert same(after) == same(before)
    # Which resting order an exit replaced stands in no journal: the broker is asked again.
    nearest = [{name: sent.intents[0] for name, sent in past.sent.items()} for past in (after, before)]
    assert nearest[0] == nearest[1]
    # No journal holds the best and worst prices, so they aren't known anymore.
    assert after.kept == {key: replace(kept, best=None, worst=None) for key, kept in before.kept.items()}


def test_history_includes_adopted_returned_and_carried_positions(copy: Bot) -> None:
    december, january = datetime(2026, 12, 31, 15, tzinfo=UTC), datetime(2027, 1, 4, 15, tzinfo=UTC)
    bought = Fill("b", "v1", "AAPL", Side.BUY, Decimal(10), Decimal(20), december)
    theirs = Fill("f", "v2", "MSFT", Side.BUY, Decimal(3), Decimal(50), december)
    sold = [
        Fill("s", "v3", "AAPL", Side.SELL, Decimal(10), Decimal(21), january),
        Fill("t", "v4", "MSFT", Side.SELL, Decimal(3), Decimal(49), january),
    ]
    with closing(SqliteLedger.open(copy.folder)) as books:
        fills = (OwnedFill("flow", bought), OwnedFill(FOREIGN, theirs), *reassign(ADOPTED, theirs))
        owners = ("flow", ADOPTED)
        books.apply_fills((*fills, *(OwnedFill(o, f) for o, f in zip(owners, sold, strict=True))), january)
        marks = {("flow", "AAPL", december): Marks(Decimal(22), Decimal(19))}
        books.put_marks({**marks, (ADOPTED, "MSFT", december): Marks(Decimal(51), Decimal(48))})
    past = read(copy)
    made = {(t.strategy, t.symbol, t.opened_at): t.realized_before_fees_usd for t in trades(past.fills)}
    assert made == {("flow", "AAPL", december): 10, (ADOPTED, "MSFT", december): -3}
    assert past.kept == {
        ("flow", "AAPL", december): EntryTerms(best=Decimal(22), worst=Decimal(19)),
        (ADOPTED, "MSFT", december): EntryTerms(best=Decimal(51), worst=Decimal(48)),
    }
    # These orders were never reported to these books.
    assert (dict(past.sent), past.at) == ({}, january)


@pytest.mark.usefixtures("large")
def test_history_names_an_unreadable_order(copy: Bot, closed_trader: Bot) -> None:
    shutil.copyfile(closed_trader.folder / "ledger.db", copy.folder / "ledger.db")
    edit(copy.folder / "ledger.db", "UPDATE orders SET body = replace(body, '{', '[') WHERE sequence = 1")
    with pytest.raises(DamagedBooksError, match="row 1 of orders was changed after it was written"):
        read(copy)


def test_history_ignores_prices_from_before_a_split(closed_trader: Bot, tmp_path: Path) -> None:
    bot = Bot(tmp_path / "state", closed_trader._capture)
    shutil.copytree(closed_trader.folder, bot.folder, ignore=shutil.ignore_patterns("exchange", "HALT"))
    before = read(bot)
    symbol, *others = before.marks
    assert before.at is not None
    split = unreported_fill("flow", "activity:1:0", symbol, Decimal(1), ONE, ONE, before.at, Origin.ACTIVITY, "1")
    with closing(SqliteLedger.open(bot.folder)) as books:
        books.apply_fills([split], before.at)
    after = read(bot)
    assert (after.marks, after.ends) == ({name: before.marks[name] for name in others}, before.ends)
