"""Follow a day at Elsewhere order by order: what the venue's log has of each, and what the bot's passes did.

    python -m tests.kit.elsewhere.day

The exchange runs in its own process, and the bot through its adapter, as everywhere. Twice a request is lost: that for
a stop never arrives, and that for an exit arrives without an answer.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

from tests.kit.elsewhere import place

os.environ["VENUE"] = place.NAME

# The venue is chosen by the environment before these are imported.
from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from commands.trade_once import run as trade_once
from tests.kit.bot.stage import Stage, StageBot, set_up
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.wiring import App
from tradebot.model.venue import Settlement

CONFIGURATION = """
venue: elsewhere
universe: [TIDE, REEF]
sectors: {TIDE: waters, REEF: waters}
limits: {cooldown_s: 1, max_order_notional_usd: 2000}
exits: {stop_loss_fraction: 0.01, profit_target_fraction: 0.02, trailing_arm_fraction: 0.01,
        trailing_stop_fraction: 0.001, time_exit_s: 1800}
"""
LOST_STOP = "- {name: lost, when: {request: submit, symbol: REEF, nth: 1}, what: {reset: before}}\n"
LOST_EXIT = "- {name: lost, when: {request: submit, nth: 1}, what: reply_lost}\n"

Step = tuple[str, Callable[[StageBot], Callable[[App], int]] | Mapping[str, Any] | str]


def compare(bot: StageBot) -> Callable[[App], int]:
    """Return `reconcile`."""
    return lambda app: int(reconcile.run(app, by="day").exit_code)


def enter(bot: StageBot) -> Callable[[App], int]:
    """Return `trade-once`, with a long and a short."""
    wanted = bot.candidates({"TIDE": "buy", "REEF": "sell"})
    return lambda app: int(trade_once.run(app, by="day", candidates=wanted).exit_code)


def exits(bot: StageBot) -> Callable[[App], int]:
    """Return `evaluate-exits`."""
    return lambda app: int(evaluate_exits.run(app, by="day").exit_code)


WAIT: tuple[Step, ...] = (("ten minutes", {"seconds": 600}), ("evaluate-exits", exits))
DAY: Sequence[Step] = (
    ("reconcile", compare),
    ("trade-once", enter),
    ("a minute", {"seconds": 60}),
    ("the stop of REEF is lost on its way", LOST_STOP),
    ("evaluate-exits", exits),
    ("that was all", ""),
    *WAIT * 3,
    ("trade-once", enter),
    ("a minute", {"seconds": 60}),
    ("evaluate-exits", exits),
    ("from now on, the first answer to a new order is lost", LOST_EXIT),
    *WAIT * 4,
    ("reconcile", compare),
)
EVENTS = frozenset({"request", "order_accepted", "order_canceled", "order_restated", "fill", "activity", "fault_fired"})


def shown(event: Mapping[str, Any]) -> str:
    """Return a line of the log for people."""
    what = event["event"]
    if what == "request":
        body = json.loads(event["body"]) if event["body"] else {}
        return f"  asked    {event['method']:<6} {body.get('client_order_id', event['path'].rpartition('/')[2])}"
    if what == "activity":
        return (
            f"  {event['activity_type'].lower():<8} {event['symbol']} {event['net_amount']} USD, cash {event['cash']}"
        )
    if what == "fault_fired":
        return f"  trouble  {event['fault']} on {event['on']}"
    prices = [f"{name} {event[f'{name}_price']}" for name in ("limit", "stop") if event.get(f"{name}_price")]
    order = f"{event['side']} {event['qty']} {event['symbol']} {' '.join(prices)}"
    if what == "fill":
        done = f"{event['fill_qty']} at {event['price']}, realized {event['realized']}, {event['position']} held"
        return f"  filled   {order}: {done}"
    return f"  {what.removeprefix('order_'):<8} {order} {event['client_order_id']}"


def play(stage: Stage, tell: Callable[[str], None]) -> SqliteLedger:
    """Play the day, and return the books of its bot, open for reading."""
    bot, told = stage.bot("day", CONFIGURATION), 0
    for name, step in DAY:
        if isinstance(step, str):
            stage.trouble(step)
            tell(name)
        elif isinstance(step, Mapping):
            stage.tick(**step)
        else:
            with closing(bot.app()) as app:
                code = step(bot)(app)
            tell(f"{name}: {code}")
        lines = [event for event in stage.log() if event.get("account") in (bot.number, None, "")]
        for event in lines[told:]:
            if event["event"] in EVENTS and (event.get("account") or event["event"] == "fault_fired"):
                tell(f"{event['at'][11:19]}{shown(event)}")
        told = len(lines)
    return SqliteLedger.open(bot.folder, read_only=True)


def main() -> int:
    """Play and print the day; end with 1 if the books and the venue's log differ on the cash."""
    with set_up() as stage, closing(play(stage, print)) as ledger:
        cash = ledger.totals().cash(ledger.opening_cash(), Settlement.MARGINED) + ledger.cash_adjustments()
        venue = [event["cash"] for event in stage.log() if "cash" in event][-1]
        print(f"cash in the books {cash.normalize():f}, at the venue {venue}; {len(ledger.fills())} fills")
        return int(cash != Decimal(venue))


if __name__ == "__main__":
    sys.exit(main())
