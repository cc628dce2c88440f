"""What `tradebot promote` shows: where a strategy stands, and each condition of the next rung with its number."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed
from commands.shared.tables import Table, number, sentence, staying
from commands.shared.times import when
from tradebot.lab.selection.conditions import Must
from tradebot.model.promotion import Rung
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

LABELS: Mapping[str, str] = {
    "traded": "traded where it counts",
    "sessions": "sessions",
    "sessions_here": "of these, on this rung",
    "trades": "closed trades",
    "parity_sessions": "compared with backtests",
    "parity_worse_bps": "fills worse than assumed",
    "mean_above": "mean session return, low end",
    "deflated_sharpe": "deflated Sharpe ratio",
    "wins_low": "share of winners, low end",
    "effect": "effect size of trades",
    "costs_times": "left with costs multiplied",
    "spa_p": "luck, p of all trials",
    "sharpe_gain": "Sharpe ratio gained",
    "sharpe_gain_low": "Sharpe ratio gained, low end",
    "drawdown_worse": "drawdown deeper by",
    "policy_seen": "judged sessions a model may have seen",
    "policy_sessions": "judged sessions",
    "policy_trades": "closed trades, median seed",
    "policy_seeds": "seeds judged along every path",
    "policy_seeds_positive": "share of seeds that earn something",
    "policy_doubled": "return with costs doubled, median seed",
    "policy_later": "return a bar later, median seed",
    "policy_drawdown": "drawdown, the deepest of any seed",
    "policy_deflated_sharpe": "deflated Sharpe ratio, median seed",
    "policy_sharpe_low": "Sharpe ratio a year, low end, median seed",
    "policy_spa_flat": "luck against holding nothing, p",
    "policy_spa_buy_and_hold": "luck against buy and hold, p",
    "policy_spa_rule": "luck against the rule, p",
    "policy_spa_logistic": "luck against the logistic baseline, p",
    "policy_replay_sessions": "sessions on paper as replayed",
}
PERCENT = frozenset(
    {"mean_above", "costs_times", "drawdown_worse", "policy_doubled", "policy_later", "policy_drawdown"}
)
OF_POLICY = "policy_"
"""How the names of conditions begin that are asked of learned policies alone."""
WHOLE = frozenset({"sessions", "sessions_here", "trades", "parity_sessions"}) | {
    f"{OF_POLICY}{name}" for name in ("seen", "sessions", "trades", "seeds", "replay_sessions")
}


class ConditionRow(Struct, frozen=True):
    """One condition: its number beside its bound; `missing` says what there is no evidence of.

    `sessions_left` is in how many more sessions like those so far it would be met, and `by` about when that is; None if
    it is met, or if waiting doesn't meet it.
    """

    name: str
    number: float | None
    must: Must
    bound: float
    met: bool
    missing: str
    sessions_left: int | None
    by: date | None


class SourceRow(Struct, frozen=True):
    """What one folder shows: the sessions and trades that count, or why none does."""

    folder: str
    traded: str
    sessions: int
    trades: int
    why_not: str


class StrategyRow(Struct, frozen=True):
    """Where a strategy stands, since when, and what a person typed instead of evidence; `why` says why it was put down.

    `lapsed` says that it was promoted with other code or values, which count for nothing now. `held` are positions that
    it still has although it may enter no more: it is in shadow once they are closed.
    """

    name: str
    digest: str
    rung: Rung
    since: datetime | None
    sentence: str
    why: str
    lapsed: bool
    held: int = 0


class Promotions(Struct, frozen=True):
    """Where strategies stand; for a single one, the conditions of the `next` rung, None at the top for this bot.

    `done` is the rung that the strategy was just put on, and `demoted` are those that were put down for their results.
    `without_evidence` are sentences on strategies that trade real money although nothing shows that they should.
    """

    strategies: tuple[StrategyRow, ...]
    next: Rung | None = None
    conditions: tuple[ConditionRow, ...] = ()
    sources: tuple[SourceRow, ...] = ()
    champion: str = ""
    trials: int | None = None
    done: Rung | None = None
    demoted: tuple[str, ...] = ()
    without_evidence: tuple[str, ...] = ()
    hint: str = ""


def render(out: "Console", data: Promotions) -> None:
    for line in _head(data):
        out.print(line, markup=False)
    if data.next is not None:
        met = sum(row.met for row in data.conditions)
        climbing = f"To reach {data.next.words}: {met} of {pluralize(len(data.conditions), 'condition')} met"
        out.print(f"{climbing}{f'; champion: {data.champion}' if data.champion else ''}", markup=False)
        show_conditions(out, data.conditions)
    for line in (*data.demoted, *data.without_evidence):
        out.print(line, markup=False, style="yellow")
    if data.hint:
        out.print(f"Next: {data.hint}", markup=False)


def _head(data: Promotions) -> Iterator[str]:
    if data.done is not None:
        yield f"{data.strategies[0].name} is now {data.done.words}."
    for row in data.strategies:
        since = f" since {when(row.since)}" if row.since else ""
        lapsed = "; its promotion was for other code or values" if row.lapsed else ""
        why = f"; {clean(row.why)}" if row.why else ""
        until = f", once its {pluralize(row.held, 'position')} at the broker are closed" if row.held else ""
        yield f"{row.name} ({row.digest}): {row.rung.words}{until}{since}{lapsed}{why}"
    for source in data.sources:
        found = source.why_not or f"{pluralize(source.sessions, 'session')}, {pluralize(source.trades, 'closed trade')}"
        yield f"  {source.traded}, {source.folder}: {found}"
    if data.sources:
        trials = "no trial is counted" if data.trials is None else f"{pluralize(data.trials, 'trial')} counted"
        yield f"  {trials} in backtests and searches"


def short(name: str) -> str:
    """Return the name of a condition where only those of learned policies are meant."""
    return name.removeprefix(OF_POLICY)


def show_conditions(out: "Console", conditions: Sequence[ConditionRow]) -> None:
    table = Table("condition", staying("state"), number("number"), number("bound"), sentence("by when"))
    for row in conditions:
        state = "[green]met[/]" if row.met else "[yellow]missing[/]"
        table.row(LABELS[row.name], state, _shown(row, row.number), f"{row.must} {_shown(row, row.bound)}", _when(row))
    out.print(table)


def _shown(row: ConditionRow, value: float | None) -> str:
    if value is None:
        return "unknown"
    if row.name == "traded":
        return "yes" if value else "no"
    if row.name in WHOLE:
        return f"{value:,.0f}"
    return f"{format_signed(100 * value, 3)}%" if row.name in PERCENT else f"{value:.3f}"


def _when(row: ConditionRow) -> str:
    if row.met:
        return ""
    if row.missing:
        return clean(row.missing)
    if row.sessions_left is None and row.name.startswith(OF_POLICY):
        return "not by waiting: only by another evaluation"
    if row.sessions_left is None:
        return "not by waiting: not at today's rate"
    about = f", about {row.by}" if row.by else ""
    return f"{pluralize(row.sessions_left, 'session')} more{about}"
