"""Run `tradebot promote`: show the evidence that a strategy still lacks, and move it to another rung."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from functools import partial
from math import ceil
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from commands.promote.report import ConditionRow, Promotions, SourceRow, StrategyRow, render
from commands.report.report_inputs import sessions_of
from commands.shared.history import read_history
from commands.shared.light_helpers import clean, confirm, did_you_mean
from commands.shared.verb_options import Report, caller, confirm_for, open_bot
from tradebot.adapters.models.files import read_model
from tradebot.adapters.models.signing import require_extra
from tradebot.adapters.state.evidence import BACKTEST, SHADOW, read_policy_results, read_trials
from tradebot.adapters.state.state_folder import BACKTESTS, SHADOWS, has_marker
from tradebot.app.baseline import effective
from tradebot.app.policy import model_storage
from tradebot.app.promotion_status import (
    HIGHEST,
    SUBMITTED,
    code_of,
    digest_of,
    in_force,
    last_promotion,
    readable_digest,
    share_on,
    unproven_strategies,
)
from tradebot.app.shadow_strategies import count_open_positions, shadow_reasons, values_of
from tradebot.errors import ExitCode, OperatorError, TradebotError, word
from tradebot.lab.performance.of_strategy import OwnResults, own_results
from tradebot.lab.performance.returns import sessions_per_year
from tradebot.lab.promotion import fixed_since
from tradebot.lab.selection.policies import NO_RESULTS, PolicyFigures, off_replay
from tradebot.lab.selection.promotion import TrackRecord, conditions, interval
from tradebot.learning.ensemble import PolicyMode
from tradebot.learning.model_card import CONFIGURATION
from tradebot.model.event import EventKind
from tradebot.model.parity import DayParity
from tradebot.model.promotion import REAL_MONEY, PaperRecord, Promotion, Rung
from tradebot.model.sentences import LABEL_PATTERN
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.strategies.policy import PolicySettings
from tradebot.strategies.settings import POLICY
from tradebot.views.parity import LATELY, over_time

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.lab.selection.conditions import RungCondition
    from tradebot.model.evidence import PolicyResults

HALTED = 'its shadow is halted: tradebot unhalt --reason "…"'
MOST = 1_000
"""The most compared sessions that are read; a promotion needs far fewer."""


class EvidenceSource(NamedTuple):
    """A folder's evidence about a strategy and the champion it would replace; `why_not` explains missing evidence."""

    folder: str
    traded: PaperRecord
    promotions: Sequence[Promotion]
    own: OwnResults = OwnResults({})
    champion: OwnResults | None = None
    trials: int | None = None
    listed: Path = Path()
    """The folder with the list of trials, which two sources may share."""
    parities: Sequence[DayParity] = ()
    replays: Sequence[DayParity] = ()
    """Every session on paper that was compared with its replay since the values were fixed."""
    why_not: str = ""
    is_broken: bool = False
    """Whether the record can't be relied on: it is unreadable, or of a shadow that is halted."""


class StrategyEvidence(NamedTuple):
    """A strategy's evidence in all folders, and its rung; `last` is its last promotion, None for a candidate.

    `digest` is the hash of its code and values. `own` are its returns in the bot's own folder by session.
    """

    name: str
    digest: str
    rung: Rung
    last: Promotion | None
    highest: Rung
    champion: str
    evidence: TrackRecord
    sources: tuple[EvidenceSource, ...]

    @property
    def own(self) -> Mapping[date, float]:
        return self.sources[0].own.returns


def gather_evidence(app: "App", name: str, folder: str | None = None) -> StrategyEvidence:
    """Return a strategy's evidence in the bot's folder, and in another one.

    Raises OperatorError if the bot doesn't use it, or if the other folder has it with other code or values.
    """
    digest = require_digest(app, name)
    champion = champion_of(app, name)
    with ExitStack() as others:
        bots = [app, *([others.enter_context(open_bot(folder, None))] if folder else [])]
        for other in bots[1:]:
            _require_same(other, name, digest)
        sources = [_source(bot, name, champion) for bot in bots]
        for bot in bots:
            if has_marker(path := bot.folder.path / SHADOWS / name):
                sources.append(_in_shadow(bot, path, name))
    own, *elsewhere = (last_promotion(source.promotions, name, digest) for source in sources[: len(bots)])
    last = in_force(own, elsewhere[0] if elsewhere else None)
    rung = last.rung if last else Rung.CANDIDATE
    evidence = _evidence(sources, None if last is None else app.day.date_of(last.at), sessions_per_year(app.day))
    evidence = _of_policy(app, name, evidence, sources)
    return StrategyEvidence(name, digest, rung, last, HIGHEST[app.mode], champion, evidence, tuple(sources))


def _of_policy(app: "App", name: str, evidence: TrackRecord, sources: Sequence[EvidenceSource]) -> TrackRecord:
    """Return the evidence with the results of a learned policy; unchanged for any other strategy."""
    section, rules = app.settings.strategies.sections()[name], app.settings.promotion
    if section.evaluation is None and app.settings.strategies.installed_as()[name] not in rules.learned:
        return evidence
    if _acts_by_rule(app, name):
        # No model acts, so what models have shown says nothing about it.
        return evidence
    policy: PolicyFigures | str = NO_RESULTS
    if section.evaluation is not None:
        try:
            results = read_policy_results(Path(section.evaluation))
            other = other_models(app, name, results)
            policy = other or PolicyFigures(results, max(results.trials, evidence.trials or 0), rules.splits)
        except OperatorError as error:
            # Without results it meets no condition, but it can still be demoted.
            policy = error.message
    # A session that several folders compared counts once.
    days = {day.session: day for source in sources for day in source.replays}
    return replace(evidence, policy=policy, replays=off_replay([*days.values()]))


def other_models(app: "App", name: str, results: "PolicyResults") -> str:
    """Return how the models in use differ from those that were evaluated.

    The result is empty if they don't differ, or if the strategy isn't a policy that uses models.
    """
    if app.settings.strategies.installed_as()[name] != POLICY:
        return ""
    require_extra("promoting a policy")
    own = PolicySettings.model_validate(app.settings.strategies.in_use()[name])
    model_location = model_storage(own)
    for model in own.models:
        card = read_model(model_location.folder, model, model_location.public).card
        if card.settings.get(CONFIGURATION) != results.configuration:
            return (
                f"model {model} wasn't trained with the configuration that was evaluated ({results.configuration[:8]})"
            )
        if {used.name: str(used.version) for used in card.features} != dict(results.features):
            return f"model {model} has different features from those that were evaluated"
    return ""


def last_trained_session(app: "App", name: str) -> date | None:
    """Return the last session that a policy's models were trained on; None without models."""
    if name not in app.settings.strategies.sections() or app.settings.strategies.installed_as()[name] != POLICY:
        return None
    own = PolicySettings.model_validate(app.settings.strategies.in_use()[name])
    if not own.models or own.mode is PolicyMode.RULE:
        return None
    require_extra("promoting a policy")
    at = model_storage(own)
    return max(span.last for model in own.models for span in read_model(at.folder, model, at.public).card.data)


def require_digest(app: "App", name: str, *, submitted: bool = False) -> str:
    """Return the hash of a strategy in use or, with `submitted`, of a submitted candidate.

    Raises OperatorError if there is no such strategy.
    """
    names = [*app.settings.strategies.sections()]
    if name not in names and not (submitted and re.fullmatch(LABEL_PATTERN, name)):
        near = did_you_mean(name, names)
        raise OperatorError(f"this bot has no strategy {word(name)} in use; {near or 'it has ' + ', '.join(names)}",
                            "tradebot promote shows each of them")  # fmt: skip
    digest = digest_of(app.settings, name)
    if digest is None:
        raise OperatorError(f"strategy {name} isn't installed, so its code is unknown", "tradebot strategy list")
    return digest


def _require_same(other: "App", name: str, digest: str) -> None:
    other_digest = digest_of(other.settings, name) if name in other.settings.strategies.sections() else None
    if other_digest != digest:
        has = "it isn't used there" if other_digest is None else f"its hash there is {other_digest}, and here {digest}"
        raise OperatorError(
            f"Evidence for {name} in {clean(str(other.folder.path))} doesn't count: {has}. Evidence counts only for "
            "the same code and values.",
            f"tradebot config diff shows what differs; tradebot promote {name} counts the evidence in this folder",
        )


def champion_of(app: "App", name: str) -> str:
    """Return the strategy on the highest rung other than this one; empty if no other is on paper or higher."""
    promotions = app.ledger_view.promotions.every()
    rungs = {
        other: last.rung
        for other in app.settings.strategies.sections()
        if other != name and (last := last_promotion(promotions, other, readable_digest(app.settings, other)))
    }
    best = max(rungs, key=lambda other: rungs[other].step, default="")
    return best if best and rungs[best].step >= Rung.PAPER.step else ""


def _source(app: "App", name: str, champion: str) -> EvidenceSource:
    promotions = app.ledger_view.promotions.every()
    kinds = {BACKTEST: PaperRecord.BACKTEST, SHADOW: PaperRecord.SHADOW}
    traded = kinds.get(app.folder.kind) or PaperRecord(app.mode.value)
    run = app.folder.path if traded is PaperRecord.BACKTEST else app.folder.path / BACKTESTS / name
    code = code_of(app.settings, name) if name in app.settings.strategies.sections() else None
    tried = read_trials(run, {name}, {code} if code else ())
    counted, listed = tried.count if tried else None, run.parent.resolve()
    evidence_source = EvidenceSource(clean(str(app.folder.path)), traded, promotions, trials=counted, listed=listed)
    since, why_not = fixed_since(app, name)
    if since is None:
        is_in_shadow = name in app.settings.strategies.in_shadow()
        return evidence_source._replace(why_not="it is in shadow" if is_in_shadow else why_not)
    history = read_history(app)
    sessions = sessions_of(app, history)
    trained = last_trained_session(app, name)
    if trained is not None:
        embargo = app.settings.promotion.splits.embargo_sessions
        unseen = [session.open for session in sessions if session.date > trained][embargo:]
        if not unseen:
            return evidence_source._replace(why_not=f"its models were trained on sessions up to {trained}")
        since = max(since, unseen[0])

    def results(of: str) -> OwnResults:
        return own_results(history, sessions, of, since, partial(share_on, app, of, promotions))

    beside = results(champion) if champion in app.settings.strategies.sections() else None
    first = app.day.date_of(since)
    parities = app.existing_facts.parities(MOST) if app.existing_facts else ()
    fixed = [parity for parity in parities if parity.session > first]
    return evidence_source._replace(
        own=results(name),
        champion=beside,
        parities=fixed[-LATELY:],
        replays=fixed if traded is PaperRecord.PAPER else (),
    )


def _in_shadow(app: "App", path: Path, name: str) -> EvidenceSource:
    """Return a strategy's record in shadow; it is marked as broken if it can't be read or the shadow is halted.

    If the shadow last ran with other settings than the bot's present ones, such as other models, its results are left
    out until its next pass.
    """
    try:
        with open_bot(str(path), None) as own:
            shadowed, has = (each["strategies"][name] for each in (values_of(app, name), effective(own.settings)))
            source, state = _source(own, name, ""), own.ledger_view.trading_state().state
    except TradebotError as error:
        # A shadow record that can't be read counts as none, and doesn't hide the bot's own.
        why_not = f"{clean(error.message).rstrip('.')}: tradebot shadow"
        return EvidenceSource(clean(str(path)), PaperRecord.SHADOW, (), why_not=why_not, is_broken=True)
    if shadowed == has:
        if state is TradingState.ACTIVE:
            return source
        return source._replace(why_not=f"{HALTED} --state-dir {quote(str(path))}", is_broken=True)
    why_not = "the shadow run used other settings: tradebot shadow"
    return source._replace(own=OwnResults({}), why_not=why_not)


def _evidence(sources: Sequence[EvidenceSource], reached: date | None, per_year: int) -> TrackRecord:
    """Combine the evidence of all sources.

    If several have results of the same session, those of the shadow count, or else those of the first source.
    """
    # While a strategy is in shadow, it has no results at the broker.
    ordered = sorted(sources, key=lambda record: record.traded is not PaperRecord.SHADOW)
    shown = [source for source in ordered if source.own.returns]
    owner = {day: source for source in reversed(shown) for day in source.own.returns}
    days = sorted(owner)
    # What several folders have of a session counts once: trades by the day when they were closed, costs by sessions.
    parts = [sum(owner[day] is record for day in record.own.returns) / len(record.own.returns) for record in shown]
    beside = [source.champion for source in shown if source.champion]
    champion = {day: value for results in reversed(beside) for day, value in results.returns.items()}
    costs_own = [
        None if record.own.costs is None else part * record.own.costs for record, part in zip(shown, parts, strict=True)
    ]
    trials = {source.listed: source.trials for source in sources if source.trials is not None}
    parities = sorted((day for source in sources for day in source.parities), key=lambda day: day.session)[-LATELY:]
    costs = [each for each in costs_own if each is not None]
    return TrackRecord(
        traded=frozenset(source.traded for source in shown),
        returns=tuple(owner[day].own.returns[day] for day in days),
        trades=tuple(trade for source in shown for day, trade in source.own.trades if owner.get(day, source) is source),
        here=sum(reached is None or day > reached for day in days),
        per_year=per_year,
        costs=sum(costs) if costs and len(costs) == len(costs_own) else None,
        trials=sum(trials.values()) if trials else None,
        parity=over_time(parities),
        # A session in which the champion wasn't there is one in which it earned nothing.
        champion=tuple(champion.get(day, 0.0) for day in days) if beside else None,
        champion_trades=tuple(
            trade
            for record in shown
            if record.champion
            for day, trade in record.champion.trades
            if owner.get(day, record) is record
        ),
    )


DAYS_A_YEAR = 365


def run(app: "App", name: str | None, folder: str | None) -> Report:
    """Show the strategies' rungs and, for a single strategy, what it lacks. Exit 10 if a condition isn't met."""
    if name is None:
        rows = tuple(row_of(app, section) for section in app.settings.strategies.sections())
        data = Promotions(
            rows, without_evidence=unproven_strategies(app), hint="tradebot promote NAME shows what it lacks"
        )
        return Report("promote", data, render)

    data = _judge_rung(app, gather_evidence(app, name, folder), folder)
    missing = any(not row.met for row in data.conditions)
    return Report("promote", data, render, ExitCode.FINDINGS if missing else ExitCode.DONE)


def promote_strategy(app: "App", name: str, to: "Rung", folder: str | None, confirmed: str | None) -> Report:
    """Promote a strategy to the next rung if its evidence suffices.

    Raises OperatorError: exit 2 for a rung that isn't the next one or without a confirmation, 3 if a condition isn't
    met.
    """
    before = promotions_of(app, name)
    evidence = gather_evidence(app, name, folder)
    _require_next(app, evidence, to)
    judged = _judge_rung(app, evidence, folder)
    if lacking := [row for row in judged.conditions if not row.met]:
        names = ", ".join(row.name for row in lacking)
        raise OperatorError(
            f"{name} hasn't shown enough for {to.words}: {names}", _again(name, folder), code=ExitCode.REFUSED
        )
    if to in REAL_MONEY:
        confirm_for(app, confirmed, what=f"Letting {name} trade real money", command=f"tradebot promote {name}")
    numbers = {row.name: row.number for row in judged.conditions if row.number is not None}
    mean_interval = interval(evidence.evidence, float(app.settings.promotion.error))
    with app.pass_lock("promote"):
        require_unmoved(app, name, before)
        row = new_row(app, name, to, evidence.digest, numbers=numbers, based_on=mean_interval)
        return write_promotion(app, row)


def require_unmoved(app: "App", name: str, before: Sequence[Promotion]) -> None:
    """Raise OperatorError if a strategy was promoted or demoted while its evidence was judged."""
    if promotions_of(app, name) != before:
        raise changed_meanwhile(name)


def changed_meanwhile(name: str) -> OperatorError:
    """Return the error for a strategy that changed while it was judged."""
    return OperatorError(
        f"{name} or its rung changed while it was judged, so nothing was done",
        f"tradebot promote {name}",
        code=ExitCode.REFUSED,
    )


def promotions_of(app: "App", name: str) -> Sequence[Promotion]:
    """Return the promotions and demotions of a strategy, oldest first."""
    return [row for row in app.ledger_view.promotions.every() if row.strategy == name]


def override(app: "App", name: str, to: "Rung") -> Report:
    """Put a strategy on a rung of real money without evidence, once a person has typed the confirming sentence."""
    digest = require_digest(app, name, submitted=True)
    if to not in REAL_MONEY or HIGHEST[app.mode].step < to.step:
        raise OperatorError(
            f"only real money needs a promotion, and this bot is in mode {app.mode}", f"tradebot promote {name}"
        )
    if digest == SUBMITTED and to is not Rung.LIVE:
        raise OperatorError(
            f"{name} isn't a strategy in use and has no allotment, so it can only be promoted to live",
            f"tradebot promote {name} --to live --without-evidence",
        )
    sentence = f"{name} trades {to.words} without evidence"
    confirm(sentence, None, what=f"Letting {name} trade", command=f"tradebot promote {name}", by_hand=True)
    with app.pass_lock("promote"):
        return write_promotion(app, new_row(app, name, to, digest, sentence=sentence))


def put_down(app: "App", name: str, to: "Rung") -> Report:
    """Put a strategy on a lower rung, which needs no evidence."""
    before = promotions_of(app, name)
    # What is taken back is the last promotion, whatever the code and the values are now.
    digest = before[-1].digest if to is Rung.CANDIDATE and before else require_digest(app, name, submitted=True)
    last = row_of(app, name)
    # With less real money, its earlier evidence, if any, still applies.
    sentence = last.sentence if to in REAL_MONEY else ""
    with app.pass_lock("promote"):
        require_unmoved(app, name, before)
        return write_promotion(app, new_row(app, name, to, digest, why="demoted by a person", sentence=sentence))


def revokes_lapsed(app: "App", name: str, to: "Rung") -> bool:
    """Return True if moving a strategy to candidate revokes a lapsed promotion.

    If it weren't revoked, the promotion would count again as soon as the strategy had its old code back.
    """
    last = promotions_of(app, name)[-1:]
    return to is Rung.CANDIDATE and bool(last) and last[0].rung is not Rung.CANDIDATE


def new_row(app: "App", name: str, to: "Rung", digest: str, **fields: object) -> Promotion:
    """Build the record of a strategy's move to a rung, with the current user, the time, and the strategy's models."""
    models = tuple(models_of(app, name))
    return Promotion(name, to, digest, caller(), app.stamp_time(), models=models, **fields)  # type: ignore[arg-type]


def models_of(app: "App", name: str) -> Sequence[str]:
    """Return the models that decide for a learned policy; empty for any other strategy."""
    chosen = app.settings.strategies
    if chosen.installed_as().get(name) != POLICY or _acts_by_rule(app, name):
        return ()
    return PolicySettings.model_validate(chosen.in_use()[name]).models


def _acts_by_rule(app: "App", name: str) -> bool:
    section = app.settings.strategies.in_use()[name]
    return app.settings.strategies.installed_as()[name] == POLICY and section.get("mode") == PolicyMode.RULE


def write_promotion(app: "App", row: Promotion) -> Report:
    """Write a promotion into the books, emit its event, and report it. The caller holds the pass lock."""
    app.ledger.promotions.append(row)
    last = app.ledger.promotions.every()[-1]
    kind = EventKind.DEMOTED if last.why else EventKind.PROMOTED
    details = {"strategy": last.strategy, "rung": last.rung.value, "digest": last.digest, "by": last.who}
    app.events.emit(kind.at(last.at, {**details, "sentence": last.sentence, "why": last.why}))
    shown = (row_of(app, last.strategy),)
    return Report("promote", Promotions(shown, done=last.rung, without_evidence=unproven_strategies(app)), render)


def _require_next(app: "App", shown: "StrategyEvidence", to: "Rung") -> None:
    following = shown.rung.following
    if to.step > shown.highest.step:
        raise OperatorError(
            f"in mode {app.mode}, a strategy can't climb higher than {shown.highest.words}",
            f"in the folder of the live bot: tradebot promote {shown.name} --from {app.folder.path}",
        )
    if to is not following:
        after = "it is at the top" if following is None else f"the next rung is {following}"
        raise OperatorError(f"{shown.name} is {shown.rung.words}, and {after}", f"tradebot promote {shown.name}")


def _judge_rung(app: "App", shown: "StrategyEvidence", folder: str | None) -> "Promotions":
    following, rows = shown.rung.following, tuple["ConditionRow", ...]()
    if following is not None and following.step <= shown.highest.step:
        now, per_year = app.stamp_time(), shown.evidence.per_year
        rows = tuple(
            _row(condition, now, per_year)
            for condition in conditions(shown.evidence, app.settings.promotion, following)
        )
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
            SourceRow(
                source.folder, source.traded.value, len(source.own.returns), len(source.own.trades), source.why_not
            )
            for source in shown.sources
        ),
        champion=shown.champion,
        trials=shown.evidence.trials,
        without_evidence=unproven_strategies(app),
        hint=hint,
    )


def _row(of: "RungCondition", now: datetime, per_year: int) -> "ConditionRow":
    by: date | None = None
    if of.left is not None:
        by = (now + timedelta(days=ceil(of.left * DAYS_A_YEAR / per_year))).date()
    return ConditionRow(of.name, of.number, of.must, of.bound, of.met, of.lacks, of.left, by)


def row_of(app: "App", name: str, climbed: "Promotion | None" = None) -> "StrategyRow":
    """Return a strategy's row, with the rung that the promotion `climbed` gave it or else the one in the books."""
    promotions, digest = app.books.promotions.every(), readable_digest(app.settings, name)
    last = climbed or last_promotion(promotions, name, digest)
    lapsed = last is None and any(promotion.strategy == name for promotion in promotions)
    if last is None:
        return StrategyRow(name, digest or "", Rung.CANDIDATE, None, "", "", lapsed)
    open_positions = count_open_positions(app, name) if last.rung is Rung.SHADOW and name in shadow_reasons(app) else 0
    return StrategyRow(name, last.digest, last.rung, last.at, last.sentence, last.why, lapsed, open_positions)


def rung_named(typed: str) -> "Rung":
    if typed not in set(Rung):
        raise OperatorError(f"there is no rung {clean(typed)[:20]}", f"--to {', '.join(Rung)}")
    return Rung(typed)


def _again(name: str, folder: str | None) -> str:
    return f"tradebot promote {name}{f' --from {folder}' if folder else ''} shows each with its number"
