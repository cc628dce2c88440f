"""The campaign of new prices: an exit that nobody fills is priced again, and the request for it meets every trouble.

Each bot is named for what befalls its requests to replace an order. Twins are two machines with books of their own on
one account: one is stopped at each request, while the other does the same.
"""

import signal
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from commands.evaluate_exits import verb as evaluate_exits
from tests.faults.controls import CONTROLS
from tests.faults.kills import ENDS, STUCK, Tally, entries, exits, left, reconciled
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import End, Fatal, Run, Stage, StageBot, run, run_all
from tests.kit.judge import account as judge
from tests.kit.judge import protection
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.wiring import App
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace

TROUBLES: Mapping[str, str] = {
    "reply-lost": "reply_lost",
    "timeout-before": "{status: 504, acceptance: before}",
    "too-many": "{status: 429, acceptance: after}",
    "half-an-answer": "{truncated_json: 40, connection: closed}",
    "reset-before": "{reset: before}",
    "refused-keys": "expired_keys",
    "a-little-late": "{late_arrival: 90s}",
    "too-late": "{late_arrival: 10m}",
    "twice-second": "delivered_twice",
    "twice-first": "{delivered_twice: , answer: first}",
}
"""What befalls a request to replace an order, by the name of the bot that it befalls."""
TWINS = "twins"
REFUSED = {"refused-keys"}
"""Bots that are refused a new price and end their exits; the next pass sends others."""
WANTED = {"AAPL": "buy", "MSFT": "sell"}


def flattened(bot: StageBot) -> Verb:
    """Return what closes everything: the latch, then the pass of its slot."""

    def verb(app: App) -> int:
        app.ledger.set_trading_state(
            TradingStateRecord(TradingState.FLATTEN, "campaign", "all of it", datetime.now(UTC))
        )
        return int(evaluate_exits.run(app, by="campaign").exit_code)

    return verb


def prices(stage: Stage, names: Sequence[str]) -> Tally:
    """Let each named bot open, leave, and price its exits anew under its trouble; return what was broken."""
    tally = Tally()
    bots = [replace(stage.bot(name), control=name if name in CONTROLS else "") for name in names]
    twins = {bot.name: stage.twin(bot) for bot in bots if bot.name == TWINS}
    everybody = partial(_everybody, bots, twins, tally)
    everybody(reconciled)
    everybody(entries(WANTED))
    stage.tick(seconds=60)
    stage.trouble(STUCK)
    everybody(flattened)
    stage.tick(seconds=200)
    stage.trouble("".join(_rule(bot.name) for bot in bots if bot.name in TROUBLES))
    everybody(exits)
    stage.trouble("")
    stage.trouble(STUCK)
    stage.tick(seconds=100)
    everybody(exits)
    stage.trouble("")
    for seconds in (60, 360, 60):
        stage.tick(seconds=seconds)
        everybody(exits)
    stage.tick(to="close")
    stage.tick(to="next_open")
    everybody(reconciled)
    _judge(stage, bots, tally)
    return tally


def _rule(name: str) -> str:
    return f"- name: {name}\n  when: {{request: replace, account: {name}}}\n  what: {TROUBLES[name]}\n"


def _everybody(
    bots: list[StageBot], twins: Mapping[str, StageBot], tally: Tally, of: Callable[[StageBot], Verb]
) -> None:
    """Run one verb on each bot."""
    single = [bot for bot in bots if bot.name not in twins]
    ends = dict(zip((bot.name for bot in single), run_all([Run(bot, of(bot)) for bot in single]), strict=True))
    for bot in bots:
        end = ends.get(bot.name) or _beside(bot, twins[bot.name], of)
        tally.runs += 1
        tally.hit[bot.name] += "alpaca.send.before" in end.points
        tally.note(bot, [] if end.code in ENDS else [f"a verb ended with {end.code}"])


def _beside(bot: StageBot, twin: StageBot, of: Callable[[StageBot], Verb]) -> End:
    """Run one verb on a bot, and on its twin while it stands at its first request."""

    def meanwhile() -> None:
        run(twin, of(twin), None)

    return run(bot, of(bot), Fatal("alpaca.send.before", 1, signal.SIGSTOP), meanwhile)


def _judge(stage: Stage, bots: list[StageBot], tally: Tally) -> None:
    events = list(stage.log())
    told = judge.accounts(events)
    for bot in bots:
        account, note = told[bot.number], partial(tally.note, bot)
        own = [event for event in events if event.get("account") == bot.number and "order_id" in event]
        note(account.doubles)
        note(judge.turned(account))
        note([] if bot.name in REFUSED else bare(own))
        note([] if any("replaces" in event for event in own) or bot.name in REFUSED else ["no price was changed"])
        with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
            note(judge.lost_fills(account, ledger))
            note(left(ledger))
            ledger.tallies.compare_journal()
        if bot.name != TWINS:
            note(judge.unpromised(account, judge.Promises(bot.folder).now()))
            note(protection.broken(events, bot.number, bot.folder, protection.sessions_of(stage.exchange)))


def bare(events: Sequence[judge.Event]) -> Iterator[str]:
    """Yield the moments at which a position stood without an exit, once one had been sent."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    working: dict[str, set[str]] = defaultdict(set)
    leaving, before = set[str](), ""
    for event in events:
        symbol = event["symbol"]
        if event["at"] != before:
            yield from (f"{name} had no exit from {before} on" for name in leaving if held[name] and not working[name])
        before = event["at"]
        held[symbol] = Decimal(event.get("position", held[symbol]))
        if ".CLOSE." in event["client_order_id"]:
            leaving.add(symbol)
            ended = event["status"] in judge.ENDED
            (working[symbol].discard if ended else working[symbol].add)(event["order_id"])
