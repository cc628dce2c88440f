"""The data of `tradebot search`: the verdict first, then its basis, and the trials side by side."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.files import GAIN, INK, LOSS, QUIET, TITLE, open_figure
from commands.shared.light_helpers import clean
from commands.shared.number_format import duration
from commands.shared.tables import Table, number, sentence
from tradebot.lab.search.space import SpaceChecked, TrialCounts
from tradebot.lab.selection.verdict import BY_PARTS, SIGNIFICANT, ComparedTrial, SearchConclusion, SearchVerdict
from tradebot.model.sentences import pluralize


class Searched(Struct, frozen=True):
    """The state of a search; its verdict is None if there are too few trials or sessions to judge.

    `longest` is how many sessions the longest position in a judged trial lasted. `left_out` counts the unjudged trials
    by reason. `commands` apply the result if it is credible. Without a verdict, all trials are in `unjudged`, with the
    best over all sessions first.
    """

    name: str
    venue: str
    storage: str
    space: str
    sampler: str
    objectives: tuple[str, ...]
    sessions: int
    first_session: date
    last_session: date
    workers: int
    elapsed_s: float
    checked: SpaceChecked
    trials: TrialCounts
    longest: int
    left_out: Mapping[str, int]
    verdict: SearchVerdict | None
    commands: tuple[str, ...]
    unjudged: tuple[ComparedTrial, ...] = ()


SHOWN = 10
"""How many trials are shown side by side; the document has all of them."""
COLORS = {SearchConclusion.NOTHING: "yellow", SearchConclusion.FRAGILE: "yellow", SearchConclusion.EDGE: "green"}


def render(out: "Console", data: Searched) -> None:
    title, *notes = _head(data)
    of = data.verdict
    out.print(title, markup=False)
    if of is None:
        out.print(_why_unjudged(data), markup=False)
    else:
        out.print(f"[bold {COLORS[of.found]}]Verdict[/]: {escape(of.sentence)}")
    for line in notes:
        out.print(line, markup=False)
    if of is None and data.unjudged:
        out.print("\nTrials, best first over all sessions. No sessions are left to evaluate them, so this may be luck")
        _trials(out, data.unjudged, data.objectives[0])
    if of is None:
        return
    out.print("\nWhat the verdict rests on")
    for line in _evidence(of, data.objectives[0]):
        out.print(f"  {line}", markup=False)
    out.print("\nTrials, best first")
    _trials(out, of.kept, data.objectives[0])
    if data.commands:
        out.print("\nTo try these values in the sandbox or in shadow mode")
        for command in data.commands:
            out.print(f"  {command}", markup=False)


def _head(data: Searched) -> Iterator[str]:
    trials, checked = data.trials, data.checked
    yield (
        f"Search {data.name}: {data.sampler}, {pluralize(trials.played, 'trial')} of {data.sessions:,} sessions, "
        f"{data.first_session} to {data.last_session}"
    )
    if data.elapsed_s >= 1 and trials.played:
        took = f"Took {duration(data.elapsed_s)} with {pluralize(data.workers, 'worker')}"
        yield f"{took}; stored in {clean(data.storage)}"
    if checked.refused:
        share = f"{checked.refused} of {checked.drawn} drawn combinations"
        yield f"Note: {share} aren't valid settings, for example because: {clean(checked.why)}"
    for why, count in data.left_out.items():
        yield f"Left out: {pluralize(count, 'trial')}, {clean(why)}"
    if trials.left and trials.played:
        yield (
            f"{pluralize(trials.left, 'trial')} left, or run by other processes; to continue, run the same command "
            "with --resume"
        )


def _why_unjudged(data: Searched) -> str:
    if not data.trials.played:
        by = f" with {pluralize(data.workers, 'worker')}" if data.workers else ""
        return f"The space is valid: {pluralize(data.trials.left, 'trial')}{by}."
    few = data.trials.few
    if few and data.trials.played - few < 2:
        return (
            f"No verdict: {few} of {pluralize(data.trials.played, 'trial')} had too few trades or no objective. "
            "Play more sessions (--from, --sessions), or lower min_trades in the space."
        )
    return (
        f"No verdict: {data.sessions:,} sessions are too few. A position was held for "
        f"{pluralize(data.longest, 'session')}, so that many sessions are left out between those that choose a trial "
        "and those that evaluate it. Play more (--from, --sessions)."
    )


def _evidence(of: SearchVerdict, objective: str) -> Iterator[str]:
    yield (
        f"Test         {of.outside_return:+.2%} in test sessions, by the trials that were best in the other sessions"
        + ("" if of.outside is None else f"; {objective} {of.outside:.2f}")
        + f"; {pluralize(of.gap, 'session')} apart"
    )
    if of.superiority:
        test = of.superiority
        yield (
            f"Luck         p {of.p:.3f} ({SIGNIFICANT:g} or less is significant): reality check "
            f"{test.reality_check:.3f}, SPA {test.spa:.3f} ({test.spa_lower:.3f} to {test.spa_upper:.3f}), times "
            f"{of.counted:,} counted trials / {of.trials:,} judged; in blocks of {test.mean_block:,} sessions"
        )
        yield (
            f"Parts        p {of.p_parts:.3f} over six long parts of the sessions ({BY_PARTS:g} or less is significant)"
        )
    if of.held_return is not None and of.p_held is not None:
        beating = f"p {of.p_held:.3f} of beating that by luck"
        yield f"Holding      {of.held_return:+.2%} for the universe in equal parts; {beating}"
    if of.overfitting:
        yield (
            f"Overfitting  {of.overfitting.probability:.0%}: how often the best trial of one half of the sessions "
            f"ranks in the lower half of trials in the other half; in {of.overfitting.loss:.0%} of cases, it loses "
            "money there"
        )
    if of.deflated_sharpe is not None:
        yield (
            f"Deflated     {of.deflated_sharpe:.1%} chance that the Sharpe ratio is above what luck gives the best of "
            f"{pluralize(of.counted, 'trial')}"
        )
    if of.plateau:
        one_of = of.plateau
        yield (
            f"Plateau      {objective} {one_of.lowest:.2f} to {one_of.highest:.2f}, median {one_of.median:.2f}, for "
            f"{pluralize(one_of.neighbors, 'neighbor')} of trial {of.best.number}, which has {one_of.best:.2f}"
        )
    for variant in of.variants:
        yield f"{variant.name.capitalize():12} {variant.total_return:+.2%} for the best trial"
    yield f"Best five    {of.without_best_five:+.2%} for the best trial without its five best trades"
    yield from of.left_out


def _trials(out: "Console", compared: Sequence[ComparedTrial], objective: str) -> None:
    table = Table(number("trial"), number("trades"), number("in-sample"), number("out of sample"), sentence("values"))
    for trial in compared[:SHOWN]:
        table.row(str(trial.number), f"{trial.trades:,}", _figure(trial.inside), _figure(trial.outside), _values(trial))
    out.print(table)
    more = f"; {len(compared) - SHOWN:,} more with --json" if len(compared) > SHOWN else ""
    out.print(f"in-sample and out of sample: {objective}{more}")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _values(of: ComparedTrial) -> str:
    return escape(clean(", ".join(f"{name}={value}" for name, value in of.values.items())))


def draw(data: Searched, file: Path) -> None:
    """Plot each trial's out-of-sample result against its in-sample result.

    The two correlate if there is an edge, but not if the results are luck.
    """
    of = data.verdict
    both = [(trial.inside, trial.outside) for trial in (of.kept if of else ())]
    points = [(inside, outside) for inside, outside in both if inside is not None and outside is not None]
    with open_figure(file, 6, 6) as figure:
        axes = figure.add_subplot()
        axes.scatter([x for x, _ in points], [y for _, y in points], s=14, color=QUIET, label="a trial")
        if of and of.best.inside is not None and of.best.outside is not None:
            color = GAIN if of.found is SearchConclusion.EDGE else LOSS
            axes.scatter([of.best.inside], [of.best.outside], s=48, color=color, label=f"trial {of.best.number}")
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_xlabel(f"{data.objectives[0]} in-sample (chosen here)")
        axes.set_ylabel("out of sample (evaluated here)")
        axes.set_title(f"Search {data.name}", **TITLE)
        axes.legend(loc="best", frameon=False)
