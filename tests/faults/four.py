"""The campaign of kills over four strategies at once: three of other people beside the built-in one.

Each bot asks all four in each of its passes: a target that takes several orders, entries with their own stops, a
clock of a month and one of five minutes. They are asked in the bot's own process, so that a bot can be killed a hundred
times: what a process of their own adds is shown by `tests/adapters/plugins`. The judge is that of the other campaigns.
"""

from collections.abc import Callable, Sequence
from contextlib import closing

from msgspec.structs import asdict

from commands.fetch_flow import run as fetch_flow
from commands.trade_once import run as trade_once
from tests.faults.kills import (
    END_OF_HALT,
    HALT,
    REFERENCE,
    Campaign,
    Line,
    Tally,
    exits,
    halted,
    left,
    reconciled,
    unhalted,
)
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import Stage, StageBot
from tests.kit.judge import account as judge
from tests.kit.plugins.four import CONFIGURATION
from tests.kit.plugins.packages import MomentumStrategy, ReversionStrategy, SweepsStrategy
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.app.wiring import App, FolderLook
from tradebot.desk.fetching import needed_facts
from tradebot.model.trading import TradingState
from tradebot.ports.strategy import Strategy
from tradebot.strategies.flow import FlowStrategy

KINDS: dict[str, Callable[[dict[str, object]], Strategy]] = {
    "flow": FlowStrategy,
    "momentum": MomentumStrategy,
    "reversion": ReversionStrategy,
    "sweeps": SweepsStrategy,
}
STOPPED = {"FLOW", "SWEEPS"}
"""The strategies that have a rule for a stop."""
UNIVERSE = "universe: [AAPL, MSFT, NVDA, AMZN, JPM, XOM]\n"


class FourBot(StageBot):
    """A bot with the four strategies, in its own process."""

    def app(self, look: FolderLook = state_folder.open_state) -> App:
        """Return the bot opened again, with its strategies."""
        app = super().app(look)
        in_use = app.settings.strategies.in_use()
        strategies = tuple(KINDS[name](dict(settings)) for name, settings in in_use.items())
        app.__dict__["strategies"] = strategies
        app.__dict__["needed_facts"] = needed_facts(strategies, app.rules)
        return app


def fetched(bot: StageBot) -> Verb:
    return lambda app: int(fetch_flow.run(app, by="campaign").exit_code)


def traded(bot: StageBot) -> Verb:
    return lambda app: int(trade_once.run(app, by="campaign").exit_code)


SCRIPT: tuple[tuple[str, Line], ...] = (
    ("compare", reconciled),
    ("flow", fetched),
    ("entries", traded),
    ("tick", {"seconds": 60}),
    ("exits", exits),
    ("tick", {"seconds": 240}),
    ("flow again", fetched),
    ("entries again", traded),
    (HALT, halted(TradingState.REDUCE_ONLY)),
    ("tick", {"seconds": 300}),
    ("entries while halted", traded),
    (END_OF_HALT, unhalted),
    ("tick", {"seconds": 300}),
    ("compare again", reconciled),
    ("entries after", traded),
    ("tick", {"seconds": 60}),
    ("exits after", exits),
    (HALT, halted(TradingState.FLATTEN)),
    ("tick", {"seconds": 60}),
    ("last exits", exits),
    ("tick", {"seconds": 240}),
    ("exits of what was left", exits),
    ("tick", {"seconds": 240}),
    ("exits of the rest", exits),
    ("tick", {"to": "close"}),
    ("tick", {"to": "next_open"}),
    ("tick", {"seconds": 60}),
    ("last comparison", reconciled),
)


class FourCampaign(Campaign):
    """The script of the four strategies."""

    script: Sequence[tuple[str, Line]] = SCRIPT

    def _judge(self, bots: list[StageBot]) -> None:
        """Judge each bot by itself: after a kill, strategies see another account and may want something else."""
        events = list(self.stage.log())
        told = judge.accounts(events)
        for bot in bots:
            account, note = told[bot.number], self.tally.note
            with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
                note(bot, account.doubles)
                note(bot, judge.accepted_twice(account))
                note(bot, judge.lost_fills(account, ledger))
                note(bot, judge.halted_entries(events, bot.number, self.tally.spans[bot.name]))
                note(bot, judge.unrecorded(account, self._intents(bot)))
                note(bot, left(ledger))
                note(bot, self._protection(bot, events, owed=lambda lot: lot[0] in STOPPED))
                ledger.tallies.compare_journal()


def four(stage: Stage, seed: int, names: Sequence[str]) -> Tally:
    """Play the campaign with bots of these names beside the spared one, and return what it did."""
    bots = [bot_of(stage, f"{name}-four") for name in (REFERENCE, *names)]
    campaign = FourCampaign(stage, seed)
    campaign.play(list(bots))
    with closing(SqliteLedger.open(bots[0].folder, read_only=True)) as ledger:
        traded_by = {record.intent.key.strategy for record in ledger.intents() if record.intent.makes_order}
    assert traded_by >= set(KINDS), f"only {sorted(traded_by)} traded"
    return campaign.tally


def bot_of(stage: Stage, name: str) -> StageBot:
    """Return a bot with the four strategies on the stage."""
    made = stage.bot(name, UNIVERSE + CONFIGURATION)
    return FourBot(**asdict(made))


def warm(stage: Stage) -> None:
    """Import what the four need before the first fork, pandas too."""
    bot = bot_of(stage, "warm-four")
    for of in (reconciled, fetched, traded, exits):
        with closing(bot.app()) as app:
            of(bot)(app)
