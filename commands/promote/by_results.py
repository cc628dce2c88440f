"""Promote and demote strategies by their results alone, as a chore of the timetable does."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING

from commands.promote.report import Promotions, render
from commands.promote.run import (
    changed_meanwhile,
    gather_evidence,
    models_of,
    new_row,
    promotions_of,
    require_unmoved,
    row_of,
    write_promotion,
)
from commands.shared.verb_options import Report, open_bot
from tradebot.app.baseline import effective
from tradebot.app.promotion_status import digest_of, unproven_strategies
from tradebot.errors import ExitCode, OperatorError
from tradebot.gates.permission import NAMED, configuration
from tradebot.lab.performance.of_strategy import returns_after
from tradebot.lab.selection.promotion import FEWEST, conditions, interval, least_since
from tradebot.model.promotion import REAL_MONEY, Rung
from tradebot.model.sentences import pluralize
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def promote_by_itself(app: "App") -> Report:
    """Promote each strategy with `shadow: until_promoted`, as long as it meets every condition of the next rung.

    The rung `promotion.by_itself` is the highest that it can reach. A strategy that was demoted, or that has a demoted
    model, waits for a person. Exit 10 if one can't be judged. Raise OperatorError, exit 3, if no person has configured
    and accepted this, and for a bot that is live or in shadow.
    """
    highest = app.settings.promotion.by_itself
    if highest is None or app.mode is Mode.LIVE or app.settings.shadow:
        why = "promotion.by_itself is null"
        if highest is not None:
            why = "the bot is in shadow" if app.settings.shadow else "a live bot's strategies are promoted by a person"
        raise OperatorError(
            f"nothing is promoted by itself: {why}",
            "tradebot promote shows what a person may promote",
            code=ExitCode.REFUSED,
        )
    _require_accepted(app)
    with open_bot(str(app.folder.path), None) as own:
        if effective(own.settings) != effective(app.settings):
            raise OperatorError(
                "--by-itself promotes only with the bot's own configuration, not with another one",
                "tradebot promote --by-itself",
            )
    sentences, problems = list[str](), list[str]()
    for name in sorted(app.settings.strategies.until_promoted()):
        with _noting(problems, name):
            while rung := _promote_if_ready(app, name, highest):
                sentences.append(f"{name} is promoted to {rung.words}: it meets every condition")
    rows = tuple(row_of(app, section) for section in app.settings.strategies.sections())
    data = Promotions(rows, promoted=tuple(sentences), problems=tuple(problems))
    return Report("promote", data, render, ExitCode.FINDINGS if problems else ExitCode.DONE)


def _promote_if_ready(app: "App", name: str, highest: Rung) -> Rung | None:
    """Promote a strategy by one rung if it meets every condition; return the rung, or None if nothing was done."""
    # What happens from here on is noticed before anything is written.
    before = promotions_of(app, name)
    row = row_of(app, name)
    following = row.rung.following
    if following is None or following.step > highest.step or _was_demoted(app, name, row.digest):
        return None
    evidence = gather_evidence(app, name)
    if broken := next((source for source in evidence.sources if source.is_broken), None):
        why, _, remedy = broken.why_not.rpartition(": ")
        raise OperatorError(f"its record in {broken.folder} doesn't count: {why}", remedy)
    judged = conditions(evidence.evidence, app.settings.promotion, following)
    if not all(condition.met for condition in judged):
        return None
    numbers = {each.name: each.number for each in judged if each.number is not None}
    mean_interval = interval(evidence.evidence, float(app.settings.promotion.error))
    if following is Rung.PAPER and mean_interval is None:
        raise OperatorError(
            "it has too few sessions to compare later results with, so bad results could never demote it",
            f"tradebot promote {name}",
        )
    with app.pass_lock("promote"):
        require_unmoved(app, name, before)
        _require_as_judged(app, name, evidence.digest)
        new = new_row(app, name, following, evidence.digest, numbers=numbers, based_on=mean_interval)
        write_promotion(app, new)
    return following


def _was_demoted(app: "App", name: str, digest: str) -> bool:
    """Return True if a strategy was demoted with this code and these values, or with one of its present models."""
    rows, models = app.ledger_view.promotions.every(), set(models_of(app, name))
    # The same code or model may have been demoted under another strategy's name.
    return any(row.why and (row.digest == digest or models & set(row.models)) for row in rows)


def _require_accepted(app: "App") -> None:
    inputs = app.permission_inputs
    accepted, changed = configuration(inputs), [difference.name for difference in inputs.differences or ()]
    if changed or not accepted.open:
        why = f"{', '.join(changed[:NAMED])} isn't as accepted" if accepted.open else accepted.found
        remedy = "tradebot doctor" if inputs.books_unread else "tradebot config diff; then: tradebot config accept"
        raise OperatorError(f"nothing is promoted by itself: {why}", remedy, code=ExitCode.REFUSED)


def _require_as_judged(app: "App", name: str, digest: str) -> None:
    """Raise OperatorError if the configuration has changed since a strategy was judged by it."""
    with open_bot(str(app.folder.path), None) as now:
        _require_accepted(now)
        is_same = digest_of(now.settings, name) == digest and now.settings.promotion == app.settings.promotion
        if not is_same or name not in now.awaiting_promotion:
            raise changed_meanwhile(name)


def review(app: "App") -> Report:
    """Demote each strategy that has clearly earned less since its promotion than its earlier results promised.

    It reviews strategies that trade real money, and those on paper that were in shadow until they were promoted. A
    strategy that was promoted without evidence is skipped, because there is nothing to compare with. Exit 10 if one is
    demoted or can't be judged.
    """
    sentences, problems = list[str](), list[str]()
    for name in app.settings.strategies.sections():
        with _noting(problems, name):
            if why := _demote_if_worse(app, name):
                sentences.append(f"{name} is demoted to shadow: {why}")
    rows = tuple(row_of(app, section) for section in app.settings.strategies.sections())
    data = Promotions(
        rows, demoted=tuple(sentences), problems=tuple(problems), without_evidence=unproven_strategies(app)
    )
    return Report("demote", data, render, ExitCode.FINDINGS if sentences or problems else ExitCode.DONE)


def _demote_if_worse(app: "App", name: str) -> str:
    """Demote a strategy whose results are clearly below those that it was promoted on.

    Return the reason; empty if it wasn't demoted. Raise OperatorError if it can't be judged.
    """
    before, row = promotions_of(app, name), row_of(app, name)
    trades_on_paper = row.rung is Rung.PAPER and name in app.settings.strategies.until_promoted()
    if row.sentence or not (row.rung in REAL_MONEY or trades_on_paper):
        return ""
    evidence = gather_evidence(app, name)
    assert evidence.last is not None, "a promoted strategy has a last promotion"
    if evidence.last.based_on is None:
        why = f"it was promoted on fewer than {FEWEST} sessions, too few to compare later results with"
        raise OperatorError(
            why, f"tradebot promote {name} counts them; once there are enough, demote and promote it again"
        )
    since = returns_after(evidence.own, app.day.date_of(evidence.last.at))
    based_on, error = evidence.last.based_on, float(app.settings.promotion.error)
    least = least_since(based_on, since, error)
    if least is None or fmean(since) >= least:
        return ""
    earned = f"the mean of the {pluralize(len(since), 'session')} since its promotion is {fmean(since):+.4%}"
    why = f"{earned}, below {least:+.4%}, the lowest to expect from the results that it was promoted on"
    numbers = {"mean": fmean(since), "least": least, "sessions": float(len(since))}
    with app.pass_lock("demote"):
        require_unmoved(app, name, before)
        write_promotion(app, new_row(app, name, Rung.SHADOW, evidence.digest, numbers=numbers, why=why))
    return why


@contextmanager
def _noting(problems: list[str], name: str) -> Iterator[None]:
    """Catch an OperatorError of the block and add it to `problems`, so that the other strategies are still judged."""
    try:
        yield
    except OperatorError as error:
        problems.append(f"{name}: {error.message.rstrip('.')}. Next: {error.hint}")
