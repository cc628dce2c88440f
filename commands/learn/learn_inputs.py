"""Read the inputs of `learn`: trades and blocked trades, the calendar, and the settings in force."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from commands.report.report_inputs import problem_of
from commands.score.outcomes import judged_days
from commands.trades.report import all_rows
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.thresholds import ThresholdQuestion, ThresholdSetting, threshold_of
from tradebot.app.wiring import App
from tradebot.errors import TradebotError
from tradebot.gates.evaluation import READS
from tradebot.lab.learn.knobs import Blocked, ExitAt, HoldingTimeLimit, LeftAfter, shorter_holding_times
from tradebot.lab.learn.learn import (
    LearnedStrategy,
    LearningMaterial,
    LearnResult,
    WatchedStrategies,
    learn_from_trades,
)
from tradebot.lab.learn.values import Proposal, TradeOutcome, plain
from tradebot.model.decision import Gate
from tradebot.model.instrument import notional
from tradebot.model.record import Job
from tradebot.strategies.settings import BUILT_IN
from tradebot.timetable.sessions import BEGINS_AHEAD
from tradebot.views.trades.trade_row import LONG, Choice, TradeRow, select_rows

if TYPE_CHECKING:
    from tradebot.app.settings_schema import Sections
    from tradebot.auditing.outcomes import SessionReturns
    from tradebot.ports.world import Progress
    from tradebot.timetable.job_times import JobTimes

ASKED_EACH_TIME = BUILT_IN - {"rotation"}
"""The built-in strategies that run in every entry pass of the timetable; plug-ins choose their times themselves."""
STOP, TARGET, TIME = "stop_loss", "profit_target", "time_exit"
FRACTION, AFTER = "fraction", "after_s"
NUMBERS: Mapping[str, str] = {STOP: FRACTION, TARGET: FRACTION, TIME: AFTER}
"""The exit rules that `learn` tunes, each with the number that it changes."""


def read(app: "App", choice: Choice, progress: "Progress") -> tuple[LearnResult, tuple[str, ...], datetime | None]:
    """Return what an account's records teach, notes on what they leave unknown, and the last recorded moment.

    Raises DamagedBooksError, naming the row, if the books are damaged.
    """
    history, rows = all_rows(app)
    trades = select_rows(rows.trades, choice, history.day)
    material = _material(app, trades, choice)
    blocked, shorter, problem = load_outcomes(app, material, choice, history.at, progress)
    learn_result = learn_from_trades(material, shorter)
    proposals = (*learn_result.proposals, *blocked)
    return LearnResult(learn_result.counts, learn_result.unknown, proposals), (problem,) if problem else (), history.at


def _material(app: "App", trades: "Sequence[TradeRow]", choice: Choice) -> LearningMaterial:
    opened = [trade.opened_at for trade in trades]
    span = (min(opened).date() - timedelta(days=1), max(opened).date() + BEGINS_AHEAD) if opened else None
    names = [name for name in app.settings.strategies.sections() if choice.strategy in (None, name)]
    return LearningMaterial(
        trades=trades,
        sessions={session.date: session for session in app.ledger_view.sessions(*span)} if span else {},
        day=app.day,
        strategies=[_strategy(app, name) for name in names],
        watched=[*_watched_strategies(app, names)],
        entries=_entries(app),
    )


def _entries(app: "App") -> "tuple[str, JobTimes] | None":
    """Return the setting for the times of entries, and its value."""
    timetable = app.settings.timetable
    line = next((line for line in timetable.lines if line.job == Job.TRADE_ONCE), None)
    if line is None:
        return None
    setting = f"timetable.{Job.TRADE_ONCE.value}"
    return setting if isinstance(line.to_setting(), str) else f"{setting}.when", timetable[Job.TRADE_ONCE]


def _strategy(app: "App", name: str) -> LearnedStrategy:
    section = app.settings.strategies.sections()[name]
    weights = getattr(section, "weights", None)
    sections = weights if isinstance(weights, Mapping) else {}
    return LearnedStrategy(
        name=name,
        weights={key: float(value) for key, value in sections.items() if isinstance(value, int | float)},
        limits=app.rules.of(name).limits,
        asked_each_time=section.times is None and (section.strategy or name) in ASKED_EACH_TIME,
    )


def _watched_strategies(app: "App", names: list[str]) -> Iterator[WatchedStrategies]:
    sections, account = app.settings.strategies.sections(), app.settings.exits
    of_account = frozenset(name for name in names if sections[name].exits is None)
    if of_account:
        yield WatchedStrategies(
            "",
            of_account,
            ExitAt("exits.stop_loss_fraction", account.stop_loss_fraction),
            ExitAt("exits.profit_target_fraction", account.profit_target_fraction),
            HoldingTimeLimit("exits.time_exit_s", account.time_exit_s),
        )
    for name in names:
        listed = sections[name].exits
        if listed is not None:
            numbers = {
                rule: fields[NUMBERS[rule]]
                for rule_set in listed
                for rule, fields in rule_set.items()
                if rule in NUMBERS
            }
            setting = f"strategies.{name}.exits"
            yield WatchedStrategies(
                name,
                frozenset({name}),
                ExitAt(setting, numbers[STOP], STOP) if STOP in numbers else None,
                ExitAt(setting, numbers[TARGET], TARGET) if TARGET in numbers else None,
                HoldingTimeLimit(setting, numbers[TIME], TIME) if TIME in numbers else None,
            )


MINUTE = timedelta(minutes=1)
UNKNOWN = "What blocked trades would have earned isn't known"


class BlockedOutcomes(NamedTuple):
    """Proposals based on how blocked trades would have ended, and what closing trades earlier would have earned.

    `left` is None if the latter is unknown. `problem` says why something is unknown.
    """

    blocked: tuple[Proposal, ...] = ()
    left: LeftAfter | None = None
    problem: str = ""


def load_outcomes(
    app: "App", material: LearningMaterial, choice: Choice, at: datetime | None, progress: "Progress"
) -> BlockedOutcomes:
    """Compute what blocked trades would have earned by a given time, and fetch the bars that aren't stored."""
    if at is None:
        return BlockedOutcomes()
    if app.folder.kind == BACKTEST:
        return BlockedOutcomes(problem=f"{UNKNOWN}: a backtest stores no bars after it has ended.")
    blocked, shorter = Blocked(), ShorterOutcomes(material)
    try:
        for day, judged in judged_days(app, choice.days.first, progress, choice.days.last, at):
            blocked.add(day, [outcome for outcome in judged if choice.strategy in (None, outcome.strategy)])
            shorter.add(day)
    except TradebotError as error:
        return BlockedOutcomes(problem=f"{UNKNOWN}: {problem_of(app, error)}.")
    if not blocked.keys:
        return BlockedOutcomes(
            left=shorter if shorter.has_outcomes else None, problem="No blocked trade with a final result is recorded."
        )
    settings = {key: setting for key in blocked.keys if (setting := setting_of(app.settings, *key))}
    values = {key: plain(setting.value) for key, setting in settings.items()}
    proposals = blocked.proposals({key: setting.key for key, setting in settings.items()}, values)
    return BlockedOutcomes(tuple(proposals), shorter if shorter.has_outcomes else None)


class ShorterOutcomes:
    """Computes what trades would have earned if closed earlier, using the bars of each session added to it."""

    def __init__(self, material: LearningMaterial) -> None:
        self._outcomes = material.outcomes
        self._tried = {
            name: shorter_holding_times(watched.held.after_s)
            for watched in material.watched
            if watched.held
            for name in watched.strategies
        }
        self._better: dict[tuple[str, int], float] = {}

    @property
    def has_outcomes(self) -> bool:
        return bool(self._better)

    def add(self, day: "SessionReturns") -> None:
        for outcome in self._outcomes:
            if outcome.session == day.session.date:
                for after_s in self._tried.get(outcome.trade.strategy, ()):
                    self._add(day, outcome, after_s)

    def _add(self, day: "SessionReturns", outcome: TradeOutcome, after_s: int) -> None:
        trade, at = outcome.trade, outcome.trade.opened_at + timedelta(seconds=after_s)
        if at >= outcome.closed_at:
            return
        # Both prices are from bars: the exit's own cost would have been the same at the other time.
        prices = (
            day.price(trade.symbol, at),
            day.price(trade.symbol, min(outcome.closed_at + MINUTE, day.session.close)),
        )
        if prices[0] is not None and prices[1] is not None:
            better = (prices[0] - prices[1]) * (1 if trade.side == LONG else -1)
            self._better[trade.id, after_s] = notional(float(trade.quantity), better, float(trade.multiplier))

    def __call__(self, outcome: TradeOutcome, after_s: int) -> float | None:
        return self._better.get((outcome.trade.id, after_s))


def setting_of(settings: "Sections", strategy: str, gate: Gate) -> "ThresholdSetting | None":
    """Return the setting that holds a gate's limit for a strategy's candidates; None if the limit isn't a setting."""
    reads, is_there = READS[gate], strategy in settings.strategies.sections()
    names = (*reads.own, *reads.account)
    limits = settings.limits_of(strategy) if reads.own and is_there else settings.limits
    limit = getattr(limits, names[0]) if len(names) == 1 else None
    return threshold_of(settings, strategy, ThresholdQuestion(gate), limit)
