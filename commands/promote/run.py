"""Run `tradebot promote`: what a strategy still has to show, and the step to the next rung."""

from datetime import date, datetime, timedelta
from math import ceil
from statistics import fmean
from typing import TYPE_CHECKING

from commands.promote.gather import gather_evidence, require_digest
from commands.promote.report import ConditionRow, Promotions, SourceRow, StrategyRow, render
from commands.shared.light_helpers import clean, confirm
from commands.shared.verb_options import Report, caller, confirm_for
from tradebot.app.promotion_status import HIGHEST, SUBMITTED, digest_of, standing, unproven
from tradebot.app.shadow_strategies import in_shadow, still_held
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.performance.of_strategy import since_in
from tradebot.lab.selection.promotion import conditions, interval, least_since
from tradebot.model.event import EventKind
from tradebot.model.promotion import REAL_MONEY, Promotion, Rung
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from commands.promote.gather import StrategyEvidence
    from tradebot.app.wiring import App
    from tradebot.lab.selection.conditions import RungCondition

DAYS_A_YEAR = 365


def run(app: "App", name: str | None, folder: str | None) -> Report:
    """Show where strategies stand; of a single one, also what it lacks. Exit 10 if a condition isn't met."""
    if name is None:
        rows = tuple(row_of(app, one) for one in app.settings.strategies.sections())
        data = Promotions(rows, without_evidence=unproven(app), hint="tradebot promote NAME shows what one lacks")
        return Report("promote", data, render)

    data = _judged(app, gather_evidence(app, name, folder), folder)
    missing = any(not row.met for row in data.conditions)
    return Report("promote", data, render, ExitCode.FINDINGS if missing else ExitCode.DONE)


def climb(app: "App", name: str, to: "Rung", folder: str | None, confirmed: str | None) -> Report:
    """Put a strategy on the next rung if it has shown enough.

    Raises OperatorError: exit 2 for a rung that isn't the next one or without a confirmation, 3 if a condition isn't
    met.
    """
    shown = gather_evidence(app, name, folder)
    _require_next(app, shown, to)
    judged = _judged(app, shown, folder)
    if lacking := [row for row in judged.conditions if not row.met]:
        names = ", ".join(row.name for row in lacking)
        raise OperatorError(
            f"{name} hasn't shown enough for {to.words}: {names}", _again(name, folder), code=ExitCode.REFUSED
        )
    if to in REAL_MONEY:
        confirm_for(app, confirmed, what=f"Letting {name} trade real money", command=f"tradebot promote {name}")
    numbers = {row.name: row.number for row in judged.conditions if row.number is not None}
    found = interval(shown.evidence, float(app.settings.promotion.error))
    return _written(app, name, to, shown.digest, numbers=numbers, based_on=found)


def override(app: "App", name: str, to: "Rung") -> Report:
    """Put a strategy on a rung of real money without evidence, once a person has typed the sentence that says so."""
    digest = require_digest(app, name, submitted=True)
    if to not in REAL_MONEY or HIGHEST[app.mode].place < to.place:
        raise OperatorError(
            f"only real money needs a promotion, and this bot is in mode {app.mode}", f"tradebot promote {name}"
        )
    if digest == SUBMITTED and to is not Rung.LIVE:
        raise OperatorError(
            f"{name} isn't a strategy in use, so it has no allotment to trade a part of",
            f"tradebot promote {name} --to live --without-evidence",
        )
    sentence = f"{name} trades {to.words} without evidence"
    confirm(sentence, None, what=f"Letting {name} trade", command=f"tradebot promote {name}", by_hand=True)
    return _written(app, name, to, digest, sentence=sentence)


def put_down(app: "App", name: str, to: "Rung") -> Report:
    """Put a strategy on a lower rung, which needs no evidence."""
    digest, last = require_digest(app, name, submitted=True), row_of(app, name)
    # With less real money, it still rests on what it rested on, or on nothing.
    sentence = last.sentence if to in REAL_MONEY else ""
    return _written(app, name, to, digest, why="put down by a person", sentence=sentence)


def review(app: "App") -> Report:
    """Put down each strategy whose results since its promotion are below what that was based on; exit 10 if any is.

    One that was promoted without evidence has nothing to be measured against.
    """
    said = list[str]()
    for name in app.settings.strategies.sections():
        row = row_of(app, name)
        if row.rung not in REAL_MONEY or row.sentence:
            continue
        shown = gather_evidence(app, name)
        assert shown.last is not None, "it stands on a rung"
        since = since_in(shown.own, app.day.date_of(shown.last.at))
        based_on, error = shown.last.based_on, float(app.settings.promotion.error)
        least = least_since(based_on, since, error) if based_on else None
        if least is not None and fmean(since) < least:
            earned = f"the mean of the {pluralize(len(since), 'session')} since its promotion is {fmean(since):+.4%}"
            why = f"{earned}, and what that was based on allows no less than {least:+.4%}"
            numbers = {"mean": fmean(since), "least": least, "sessions": float(len(since))}
            _written(app, name, Rung.SHADOW, shown.digest, numbers=numbers, why=why)
            said.append(f"{name} is put down to shadow: {why}")
    rows = tuple(row_of(app, one) for one in app.settings.strategies.sections())
    data = Promotions(rows, demoted=tuple(said), without_evidence=unproven(app))
    return Report("demote", data, render, ExitCode.FINDINGS if said else ExitCode.DONE)


def _written(app: "App", name: str, to: "Rung", digest: str, **fields: object) -> Report:
    with app.pass_lock("promote"):
        app.ledger.promotions.append(Promotion(name, to, digest, caller(), app.stamp_time(), **fields))  # type: ignore[arg-type]
        last = app.ledger.promotions.every()[-1]
    kind = EventKind.DEMOTED if last.why else EventKind.PROMOTED
    said = {"strategy": name, "rung": to.value, "digest": digest, "by": last.who}
    app.events.emit(kind.at(last.at, {**said, "sentence": last.sentence, "why": last.why}))
    row = row_of(app, name)
    return Report("promote", Promotions((row,), done=to, without_evidence=unproven(app)), render)


def _require_next(app: "App", shown: "StrategyEvidence", to: "Rung") -> None:
    following = shown.rung.following
    if to.place > shown.highest.place:
        raise OperatorError(
            f"in mode {app.mode}, a strategy climbs up to {shown.highest.words}",
            f"in the folder of the live bot: tradebot promote {shown.name} --from {app.folder.path}",
        )
    if to is not following:
        after = "it is at the top" if following is None else f"the next rung is {following}"
        raise OperatorError(f"{shown.name} is {shown.rung.words}, and {after}", f"tradebot promote {shown.name}")


def _judged(app: "App", shown: "StrategyEvidence", folder: str | None) -> "Promotions":
    following, rows = shown.rung.following, tuple["ConditionRow", ...]()
    if following is not None and following.place <= shown.highest.place:
        now, per_year = app.stamp_time(), shown.evidence.per_year
        rows = tuple(_row(one, now, per_year) for one in conditions(shown.evidence, app.settings.promotion, following))
    at = f" --from {folder}" if folder else ""
    ready = bool(rows) and all(row.met for row in rows)
    elsewhere = following is not None and not rows
    hint = f"tradebot promote {shown.name} --to {following}{at}" if ready else ""
    if elsewhere:
        hint = f"in the folder of the live bot: tradebot promote {shown.name} --from {app.folder.path}"
    return Promotions(
        strategies=(row_of(app, shown.name, shown.last),),
        next=following if rows else None,
        conditions=rows,
        sources=tuple(
            SourceRow(one.folder, one.traded.value, len(one.own.returns), len(one.own.trades), one.why_not)
            for one in shown.sources
        ),
        champion=shown.champion,
        trials=shown.evidence.trials,
        without_evidence=unproven(app),
        hint=hint,
    )


def _row(of: "RungCondition", now: datetime, per_year: int) -> "ConditionRow":
    by: date | None = None
    if of.left is not None:
        by = (now + timedelta(days=ceil(of.left * DAYS_A_YEAR / per_year))).date()
    return ConditionRow(of.name, of.number, of.must, of.bound, of.met, of.lacks, of.left, by)


def row_of(app: "App", name: str, known: "Promotion | None" = None) -> "StrategyRow":
    """Return where a strategy stands by the bot's own books, or by a promotion that is known from elsewhere."""
    promotions, digest = app.books.promotions.every(), digest_of(app.settings, name)
    last = known or standing(promotions, name, digest)
    lapsed = last is None and any(one.strategy == name for one in promotions)
    if last is None:
        return StrategyRow(name, digest or "", Rung.CANDIDATE, None, "", "", lapsed)
    held = still_held(app, name) if last.rung is Rung.SHADOW and name in in_shadow(app) else 0
    return StrategyRow(name, last.digest, last.rung, last.at, last.sentence, last.why, lapsed, held)


def rung_named(typed: str) -> "Rung":
    if typed not in set(Rung):
        raise OperatorError(f"there is no rung {clean(typed)[:20]}", f"--to {', '.join(Rung)}")
    return Rung(typed)


def _again(name: str, folder: str | None) -> str:
    return f"tradebot promote {name}{f' --from {folder}' if folder else ''} shows each with its number"
