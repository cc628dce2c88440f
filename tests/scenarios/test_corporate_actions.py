"""What the bot says and does when its broker changes the books by itself: split, dividend, new name, assignment.

What the broker's own activities prove is booked, entries stay open, and no exit is judged by prices of other shares.
The tests run in their order on one bot with one position of its own.
"""

from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from commands.shared.history import read_history
from commands.shared.verb_options import open_bot
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot, log, second_session
from tests.kit.bot.state import accept
from tests.kit.values import NOW
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.position import Key
from tradebot.model.trade import TradeNote
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import trades
from tradebot.views.trades.pnl import ProfitGrouping

ACTIONS = "/exchange/v1/actions"
FAR = "time_exit_s: 604800, stop_loss_fraction: 0.3, trailing_arm_fraction: 0.29, profit_target_fraction: 0.3"
"""Exits so far away that the broker's prices of a few days reach none of them."""
LOSS = "max_daily_loss_fraction: 0.3"
"""What such stops may lose in a day."""
BOT_FLAGS = ("--sessions", "6")


def prepare_bot(folder: Path) -> None:
    settings = folder / "tradebot.yaml"
    easy = settings.read_text().replace("limits: {", f"limits: {{{LOSS}, ", 1)
    settings.write_text(f"{easy}exits: {{{FAR}}}\nhalts: {{daily_loss_fraction: 0.9, drawdown_fraction: 0.95}}\n")
    accept(folder)


def post(bot: Bot, path: str, **body: object) -> None:
    answer = requests.post(f"{bot.url}{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text


def own(bot: Bot) -> dict[str, Any]:
    (row,) = [row for row in bot.json("positions")["positions"] if row["strategy"] != "foreign"]
    return dict(row)


def there(bot: Bot) -> dict[str, str]:
    rows = requests.get(f"{bot.url}/v2/positions", headers=KEYS, timeout=60).json()
    return {row["symbol"]: row["qty"] for row in rows}


def resting(bot: Bot) -> list[tuple[str, Decimal, Decimal]]:
    asked = {"status": "open", "nested": "true"}
    rows = requests.get(f"{bot.url}/v2/orders", params=asked, headers=KEYS, timeout=60).json()
    stops = [leg for row in rows for leg in row["legs"] or () if leg["status"] == "new"]
    return [(leg["symbol"], Decimal(leg["qty"]), Decimal(leg["stop_price"])) for leg in stops]


def next_session(bot: Bot) -> None:
    bot.does("exchange tick close", "exchange tick next_open", "exchange tick 30m")


def sent(bot: Bot, before: int) -> list[dict[str, Any]]:
    return [event for event in log(bot.url)[before:] if event["event"] == "order_accepted"]


def differing(bot: Bot) -> list[dict[str, Any]]:
    """Compare, and return what differs; where a price stands meanwhile is not what these tests are about."""
    findings = bot.says("reconcile", "--json").data["findings"]
    return [finding for finding in findings if finding["kind"] != "missing_stop"]


def test_exits_after_a_split_are_judged_by_the_new_shares(bot: Bot) -> None:
    second_session(bot)
    assert bot.json("trade-once")["orders"] == 1
    bot.does("exchange tick 5m", "evaluate-exits")
    before, count = own(bot), len(log(bot.url))
    ((_, shares, stop),) = resting(bot)
    assert shares == abs(Decimal(before["quantity"]))
    post(bot, ACTIONS, type="cash_dividend", symbol=before["symbol"], rate="0.25")
    post(bot, ACTIONS, type="forward_split", symbol=before["symbol"], new_rate=2, old_rate=1)
    next_session(bot)
    # Nobody has compared books and broker yet: the pass itself asks why they differ.
    assert bot.json("evaluate-exits")["orders"] == 0
    after = own(bot)
    assert Decimal(after["quantity"]) == 2 * Decimal(before["quantity"])
    assert Decimal(after["average_price"]) == Decimal(before["average_price"]) / 2
    assert after["opened_at"] == before["opened_at"]
    assert abs(2 * Decimal(after["high_water"]) / Decimal(before["high_water"]) - 1) < Decimal("0.1")
    assert sent(bot, count) == []
    ((_, restated, lower),) = resting(bot)
    assert (restated, abs(2 * lower - stop) <= Decimal("0.25")) == (2 * shares, True)


def test_a_dividend_is_booked_and_leaves_nothing_to_find_and_entries_open(bot: Bot) -> None:
    next_session(bot)
    assert "recorded 1 activity" in bot.shown("reconcile")
    assert differing(bot) == []
    assert bot.says("fetch-flow").code == 0
    assert "RECONCILE_FINDINGS" not in bot.json("trade-once", "--dry-run")["refused"]


def test_audit_before_the_next_comparison_sees_what_it_will_book(bot: Bot) -> None:
    post(bot, "/exchange/v1/journal", amount="250")
    row = next(row for row in bot.json("audit")["judgments"] if row["subject"] == "ledger against broker")
    assert (row["state"], row["found"]) == ("OK", "they agree; 1 new fact to apply in the next pass")


def test_a_new_name_carries_the_position_over_and_an_assignment_is_told_as_one(bot: Bot) -> None:
    before = own(bot)
    today = requests.get(f"{bot.url}/exchange/v1/status", timeout=60).json()["now"][2:10].replace("-", "")
    other = "MSFT" if before["symbol"] != "MSFT" else "NVDA"
    post(bot, "/exchange/v1/journal", symbol=f"{other}{today}P00400000", qty=-1)
    post(bot, ACTIONS, type="name_change", symbol=before["symbol"], new_symbol="PEAR")
    next_session(bot)
    assert there(bot) == {other: "100", "PEAR": before["quantity"]}
    (finding,) = differing(bot)
    assert (finding["kind"], finding["subject"], finding["blocking"]) == ("expiry_or_assignment", other, False)
    assert finding["evidence"][0].startswith(f"OPTRD {other} +100 shares")
    after = own(bot)
    assert (after["symbol"], after["quantity"], after["opened_at"]) == ("PEAR", before["quantity"], before["opened_at"])
    assert f"tradebot adopt {other} --manage" in bot.shown("reconcile")
    # The broker has canceled the pair of the old name: the next pass rests one under the new name, and only once.
    assert resting(bot) == []
    for again in ((), ("--force-slot",)):
        assert bot.says("evaluate-exits", *again).code == 0
        ((symbol, shares, _),) = resting(bot)
        assert (symbol, shares) == ("PEAR", abs(Decimal(after["quantity"])))
    assert there(bot)["PEAR"] == before["quantity"]


def test_what_all_this_earned_is_the_change_of_the_account_by_every_part(bot: Bot) -> None:
    strategy, symbol = own(bot)["strategy"], own(bot)["symbol"]
    for by in ProfitGrouping:
        found = bot.json("pnl", "--by", by.value)["pnl"]
        total = Decimal(found["total"]["total_usd"])
        assert sum(Decimal(row["total_usd"]) for row in found["rows"]) == total
        change = Decimal(found["after_usd"]) - Decimal(found["before_usd"]) - Decimal(found["transfers_usd"])
        assert abs(change - total) < Decimal("0.000001")
        paid = {row["name"]: Decimal(row["dividends_usd"]) for row in found["rows"] if Decimal(row["dividends_usd"])}
        assert sum(paid.values()) == Decimal(found["total"]["dividends_usd"]) != 0
        if by in (ProfitGrouping.STRATEGY, ProfitGrouping.SYMBOL):
            assert list(paid) == [strategy if by is ProfitGrouping.STRATEGY else symbol]
    assert Decimal(found["transfers_usd"]) >= 250
    # No pass prices the shares that the option brought, so the books have them at their strike.
    assert found["compared"]["unpriced"] == [next(name for name in there(bot) if name != symbol)]


def past(bot: Bot) -> History:
    with open_bot(str(bot.folder), None) as app:
        return read_history(app)


def noted(bot: Bot, trade: Key, tags: tuple[str, ...]) -> None:
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        ledger.note_trade(TradeNote(trade, tags, "", "ann", NOW))


def test_its_trade_is_one_from_before_the_split_to_what_it_is_called_now(bot: Bot) -> None:
    found, row = past(bot), own(bot)
    (trade,) = trades(found.fills)
    key = trade.strategy, trade.symbol, trade.opened_at
    assert (trade.symbol, str(trade.open_quantity)) == ("PEAR", row["quantity"])
    assert (trade.quantity, trade.realized_before_fees_usd) == (abs(trade.open_quantity), Decimal(0))
    kept = found.kept[key]
    assert None not in (kept.entry_score, kept.best, kept.worst)
    assert kept.components
    assert str(kept.best) == row["high_water"]
    # What was written while it had its old name is about the same trade.
    first = next(owned for owned in found.fills if owned.fill.venue_order_id)
    noted(bot, (first.strategy, first.fill.symbol, first.fill.at), ("split",))
    assert (first.fill.symbol != "PEAR", past(bot).notes[key].tags) == (True, ("split",))
    noted(bot, key, ("split", "renamed"))
    assert past(bot).notes[key].tags == ("split", "renamed")


def test_cash_has_moved_when_the_broker_says_and_not_when_it_was_booked(bot: Bot) -> None:
    found, rows = past(bot), requests.get(f"{bot.url}/v2/account/activities", headers=KEYS, timeout=60).json()
    told = {row["id"]: row for row in rows if row["activity_type"] != "FILL"}
    assert {one.about for one in found.cash} <= set(told)
    assert {"DIV", "SPLIT", "NC"} <= {one.kind for one in found.cash}
    for one in found.cash:
        assert one.at == datetime.fromisoformat(told[one.about]["created_at"])
        assert one.kind == told[one.about]["activity_type"]
    (dividend,) = [one for one in found.cash if one.kind == "DIV"]
    assert dividend.amount_usd == Decimal(told[dividend.about]["net_amount"])


def test_marks_of_the_old_name_price_nothing_under_the_new_one(bot: Bot) -> None:
    found = past(bot)
    assert set(found.marks) == {own(bot)["symbol"]}
    by_day = [set(end.marks) for end in found.ends]
    assert len(by_day) == len({end.session for end in found.ends})
    assert by_day[0].isdisjoint(by_day[-1])


def test_an_account_that_was_begun_anew_is_refused_by_name_and_the_old_books_stay_readable(bot: Bot) -> None:
    held = [(row["symbol"], row["quantity"]) for row in bot.json("positions")["positions"]]
    post(bot, "/exchange/v1/reset", account="main")
    said = bot.says("reconcile", "--json")
    (finding,) = said.data["findings"]
    assert (said.code, finding["kind"], finding["blocking"]) == (10, "account_reset", True)
    assert "tradebot init --state-dir NEW" in bot.shown("reconcile")
    before = len(log(bot.url))
    for verb in ("trade-once", "evaluate-exits"):
        refuses(bot.says(verb, "--force-slot"), 3, "the account was reset")
    assert sent(bot, before) == []
    assert [(row["symbol"], row["quantity"]) for row in bot.json("positions")["positions"]] == held
    assert [trade.symbol for trade in trades(past(bot).fills)] == ["PEAR"]
    assert bot.says("fills").code == 0
