"""`tradebot promote`: what a strategy still has to show, and the step to the next rung."""

from datetime import date, datetime, timedelta
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import strategies
from commands.shared.declaration import Purpose, acts
from commands.shared.light_helpers import clean, confirm
from commands.shared.verb_options import AccountTail, Report, caller, confirm_for, on_bot
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from commands.promote.gather import Shown
    from commands.promote.report import ConditionRow, Promotions, StrategyRow
    from tradebot.app.wiring import App
    from tradebot.lab.selection.conditions import Condition
    from tradebot.model.promotion import Promotion, Rung

DAYS_A_YEAR = 365


def run(app: "App", name: str | None, folder: str | None) -> Report:
    """Show where strategies stand; of a single one, also what it lacks. Exit 10 if a condition isn't met."""
    from commands.promote.report import Promotions, render
    from tradebot.app.promotion_status import unproven

    if name is None:
        rows = tuple(row_of(app, one) for one in app.settings.strategies.sections())
        data = Promotions(rows, without_evidence=unproven(app), hint="tradebot promote NAME shows what one lacks")
        return Report("promote", data, render)
    from commands.promote.gather import gathered

    data = _judged(app, gathered(app, name, folder), folder)
    missing = any(not row.met for row in data.conditions)
    return Report("promote", data, render, ExitCode.FINDINGS if missing else ExitCode.DONE)


def climb(app: "App", name: str, to: "Rung", folder: str | None, confirmed: str | None) -> Report:
    """Put a strategy on the next rung if it has shown enough.

    Raises OperatorError: exit 2 for a rung that isn't the next one or without a confirmation, 3 if a condition isn't
    met.
    """
    from commands.promote.gather import gathered
    from tradebot.lab.selection.promotion import interval
    from tradebot.model.promotion import REAL_MONEY

    shown = gathered(app, name, folder)
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
    from commands.promote.gather import require_digest
    from tradebot.app.promotion_status import HIGHEST, SUBMITTED
    from tradebot.model.promotion import REAL_MONEY, Rung

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
    from commands.promote.gather import require_digest
    from tradebot.model.promotion import REAL_MONEY

    digest, last = require_digest(app, name, submitted=True), row_of(app, name)
    # With less real money, it still rests on what it rested on, or on nothing.
    sentence = last.sentence if to in REAL_MONEY else ""
    return _written(app, name, to, digest, why="put down by a person", sentence=sentence)


def review(app: "App") -> Report:
    """Put down each strategy whose results since its promotion are below what that was based on; exit 10 if any is.

    One that was promoted without evidence has nothing to be measured against.
    """
    from commands.promote.gather import gathered
    from commands.promote.report import Promotions, render
    from tradebot.app.promotion_status import unproven
    from tradebot.lab.performance.of_strategy import since_in
    from tradebot.lab.selection.promotion import least_since
    from tradebot.model.promotion import REAL_MONEY, Rung
    from tradebot.model.text import counted

    said = list[str]()
    for name in app.settings.strategies.sections():
        row = row_of(app, name)
        if row.rung not in REAL_MONEY or row.sentence:
            continue
        shown = gathered(app, name)
        assert shown.last is not None, "it stands on a rung"
        since = since_in(shown.own, app.day.date_of(shown.last.at))
        based_on, error = shown.last.based_on, float(app.settings.promotion.error)
        least = least_since(based_on, since, error) if based_on else None
        if least is not None and fmean(since) < least:
            earned = f"the mean of the {counted(len(since), 'session')} since its promotion is {fmean(since):+.4%}"
            why = f"{earned}, and what that was based on allows no less than {least:+.4%}"
            numbers = {"mean": fmean(since), "least": least, "sessions": float(len(since))}
            _written(app, name, Rung.SHADOW, shown.digest, numbers=numbers, why=why)
            said.append(f"{name} is put down to shadow: {why}")
    rows = tuple(row_of(app, one) for one in app.settings.strategies.sections())
    data = Promotions(rows, demoted=tuple(said), without_evidence=unproven(app))
    return Report("demote", data, render, ExitCode.FINDINGS if said else ExitCode.DONE)


def _written(app: "App", name: str, to: "Rung", digest: str, **fields: object) -> Report:
    from commands.promote.report import Promotions, render
    from tradebot.app.promotion_status import unproven
    from tradebot.model.event import EventKind
    from tradebot.model.promotion import Promotion

    with app.pass_lock("promote"):
        app.ledger.promotions.append(Promotion(name, to, digest, caller(), app.stamp_time(), **fields))  # type: ignore[arg-type]
        last = app.ledger.promotions.every()[-1]
    kind = EventKind.DEMOTED if last.why else EventKind.PROMOTED
    said = {"strategy": name, "rung": to.value, "digest": digest, "by": last.who}
    app.events.emit(kind.at(last.at, {**said, "sentence": last.sentence, "why": last.why}))
    row = row_of(app, name)
    return Report("promote", Promotions((row,), done=to, without_evidence=unproven(app)), render)


def _require_next(app: "App", shown: "Shown", to: "Rung") -> None:
    following = shown.rung.following
    if to.place > shown.highest.place:
        raise OperatorError(
            f"in mode {app.mode}, a strategy climbs up to {shown.highest.words}",
            f"in the folder of the live bot: tradebot promote {shown.name} --from {app.folder.path}",
        )
    if to is not following:
        after = "it is at the top" if following is None else f"the next rung is {following}"
        raise OperatorError(f"{shown.name} is {shown.rung.words}, and {after}", f"tradebot promote {shown.name}")


def _judged(app: "App", shown: "Shown", folder: str | None) -> "Promotions":
    from commands.promote.report import Promotions, SourceRow
    from tradebot.app.promotion_status import unproven
    from tradebot.lab.selection.promotion import conditions

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


def _row(of: "Condition", now: datetime, per_year: int) -> "ConditionRow":
    from commands.promote.report import ConditionRow

    by: date | None = None
    if of.left is not None:
        by = (now + timedelta(days=ceil(of.left * DAYS_A_YEAR / per_year))).date()
    return ConditionRow(of.name, of.number, of.must, of.bound, of.met, of.lacks, of.left, by)


def row_of(app: "App", name: str, known: "Promotion | None" = None) -> "StrategyRow":
    """Return where a strategy stands by the bot's own books, or by a promotion that is known from elsewhere."""
    from commands.promote.report import StrategyRow
    from tradebot.app.promotion_status import digest_of, standing
    from tradebot.app.shadow_strategies import in_shadow, still_held
    from tradebot.model.promotion import Rung

    promotions, digest = app.books.promotions.every(), digest_of(app.settings, name)
    last = known or standing(promotions, name, digest)
    lapsed = last is None and any(one.strategy == name for one in promotions)
    if last is None:
        return StrategyRow(name, digest or "", Rung.CANDIDATE, None, "", "", lapsed)
    held = still_held(app, name) if last.rung is Rung.SHADOW and name in in_shadow(app) else 0
    return StrategyRow(name, last.digest, last.rung, last.at, last.sentence, last.why, lapsed, held)


def _rung(typed: str) -> "Rung":
    from tradebot.model.promotion import Rung

    if typed not in set(Rung):
        raise OperatorError(f"there is no rung {clean(typed)[:20]}", f"--to {', '.join(Rung)}")
    return Rung(typed)


def _again(name: str, folder: str | None) -> str:
    return f"tradebot promote {name}{f' --from {folder}' if folder else ''} shows each with its number"


Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The strategy [all of them].", autocompletion=strategies)
]
Folder = Annotated[
    str | None,
    typer.Option("--from", metavar="DIR", help="A folder whose evidence counts too, if the hash is the same."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="RUNG", help="Put it on this rung: the next one, or a lower one.")
]
WithoutEvidence = Annotated[
    bool, typer.Option("--without-evidence", help="Type a sentence instead; it stays in every report.")
]


Results = Annotated[
    list[Path] | None,
    typer.Option("--results", metavar="FILE", help="Judge a learned policy by its evaluation; may be repeated."),
]


@on_bot(
    "promote",
    Purpose.OPERATE,
    90,
    {
        "promote/1": (
            "commands.promote.report:Promotions",
            "commands.promote.policies:PoliciesJudged",
        )
    },
    epilog="tradebot promote\ntradebot promote flow --from ../paper\ntradebot promote flow --to paper\n"
    "tradebot promote --results ppo.json --results sac.json",
)
@acts
def promote(
    bot: "App",
    name: Name = None,
    folder: Folder = None,
    to: To = None,
    without_evidence: WithoutEvidence = False,
    results: Results = None,
    confirmed: AccountTail = None,
) -> Report:
    """Show what a strategy still has to prove, and promote it.

    Strategies climb from candidate to shadow, paper, live small and live. Shows each condition of the next rung with
    its number, and by when it could be met; exits with code 10 if one isn't. With --to, puts a strategy there if all
    are met. A lower rung needs none. With --results, shows learned policies, in use or not: seeds, benchmarks and each
    condition before paper; exits with code 10 if none passes.
    """
    if results:
        if name is not None or to is not None or folder or without_evidence:
            raise OperatorError("--results judges files, and promotes nothing", "tradebot promote --results FILE")
        from commands.promote.policies import judge

        return judge(bot, results)
    if name is None:
        if to is not None or folder or without_evidence:
            raise OperatorError("name the strategy that this is about", "tradebot promote shows all of them")
        return run(bot, None, None)
    if to is None:
        if without_evidence:
            raise OperatorError("--without-evidence needs a rung", f"tradebot promote {name} --to live")
        return run(bot, name, folder)
    rung = _rung(to)
    if without_evidence:
        return override(bot, name, rung)
    if rung.place < row_of(bot, name).rung.place:
        return put_down(bot, name, rung)
    return climb(bot, name, rung, folder, confirmed)


@on_bot("demote", Purpose.OPERATE, 100, {"demote/1": ("commands.promote.report:Promotions",)}, epilog="tradebot demote")
def demote(bot: "App") -> Report:
    """Put down strategies that earn less than they had shown.

    Compares the sessions since each promotion to real money with the interval that it was based on. Entries of a
    strategy that earned clearly less are refused from then on; its positions keep their stops and exits. Exits with
    code 10 if there is one. The timetable of a live bot runs it after each session.
    """
    return review(bot)
