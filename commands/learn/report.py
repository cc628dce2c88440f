"""The data of `tradebot learn`, and its screen: first the proposals, then the rejected ones with reasons."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from commands.config.current_config import differences_of
from commands.learn.learn_inputs import NUMBERS, read
from commands.shared.files import save
from commands.shared.light_helpers import clean, note
from commands.shared.setting_args import path_of
from commands.shared.tables import explains
from commands.shared.times import MINUTE, when
from commands.shared.verb_options import Report, identity, progress_bar
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.adapters.text.yaml_edit import CannotEditError, value_of, with_value
from tradebot.adapters.text.yaml_loader import parse_yaml, read_text
from tradebot.app.loading import Options, load_for, user_file
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.gates.permission import describe_difference
from tradebot.lab.learn.values import Item, Proposal, TradeCounts
from tradebot.model.decision import Gate
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Difference
from tradebot.views.metrics import learn_event
from tradebot.views.trades.trade_row import Choice

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.settings import Loaded

TITLES: Mapping[Item, str] = {
    Item.WEIGHTS: "Weights of signals",
    Item.TIMING: "Timing of entries",
    Item.SIZING: "Sizes of orders",
    Item.EXITS: "Exit thresholds",
    Item.TARGETS: "Profit targets",
    Item.LIMITS: "Risk limits, which only get tighter",
    Item.BLOCKED: "What blocked trades would have earned",
}
WORTH = (
    "These proposals come from the same trades that they would have changed, so expect a smaller effect. Several "
    "proposals may also be about the same losses. tradebot search backtests other values, and shadow mode tries "
    "them in future sessions."
)
CHANGES_NOTHING = "Nothing is changed. tradebot learn --write FILE writes a configuration with the proposals."


class Learned(Struct, frozen=True):
    """The proposals from an account's closed trades. Nothing applies them automatically.

    `trades` describes which trades are counted. `unknown` lists components of a strategy's entries that have no weight.
    `problems` says what couldn't be determined, and why. `file` is the configuration with the proposals, or None if
    none was written, for example because there are no proposals. `looser` lists its values that block entries until a
    person accepts them.
    """

    at: datetime | None
    from_date: date | None
    to_date: date | None
    trades: TradeCounts
    proposals: tuple[Proposal, ...]
    proposed: int
    unknown: Mapping[str, Sequence[str]]
    problems: tuple[str, ...]
    worth: str
    file: str | None
    looser: tuple[Difference, ...]


def render(out: "Console", data: Learned) -> None:
    rest = _rest(data) if explains(out) else _rest_counted(data)
    title, *left_out = _head(data)
    for line in (title, *_proposed_lines(data), *left_out, *rest, *_end(data)):
        out.print(line, markup=False)


def _head(data: Learned) -> Iterator[str]:
    trades = data.trades
    at = f" until {when(data.at, MINUTE)}" if data.at else ""
    yield f"Learned from {pluralize(trades.counted, 'closed trade')}{at}."
    left_out = [
        f"{pluralize(trades.open, 'open trade')}" if trades.open else "",
        f"{pluralize(trades.unknown_fees, 'trade')} whose fees aren't known yet" if trades.unknown_fees else "",
        f"{pluralize(trades.not_ours, 'trade')} that no strategy in use opened" if trades.not_ours else "",
    ]
    if texts := [text for text in left_out if text]:
        yield f"Not counted: {', '.join(texts)}."
    for strategy, names in data.unknown.items():
        yield (
            f"{clean(strategy)} has no weight for {', '.join(map(clean, names))}, so nothing is learned about them, "
            "although trades were entered with them."
        )


def _proposed_lines(data: Learned) -> Iterator[str]:
    proposed = [proposal for proposal in data.proposals if proposal.proposed is not None]
    if not proposed:
        yield "Nothing is proposed."
        return
    yield f"Proposed ({len(proposed)})"
    for proposed_change in proposed:
        looser = " (looser: it has to be accepted)" if proposed_change.looser else ""
        yield f"  {_name(proposed_change)}: {proposed_change.value} -> {proposed_change.proposed}{looser}"
        yield f"    {proposed_change.evidence}"


def _rest(data: Learned) -> Iterator[str]:
    """Yield the items without a proposal, one by one."""
    for item, title in TITLES.items():
        rest = [proposal for proposal in data.proposals if proposal.item is item and proposal.proposed is None]
        if not rest:
            continue
        yield f"\n{title}"
        for text, alike in groupby(rest, key=_proposal_text):
            for other in alike:
                yield f"  {_name(other)}{f' {other.value}' if other.value is not None else ''}"
            yield f"    {text}"


def _rest_counted(data: Learned) -> Iterator[str]:
    """Yield what most settings without a proposal lack, and where each of them is explained."""
    rest = [proposal for proposal in data.proposals if proposal.proposed is None]
    lacks = Counter(proposal.why_not for proposal in rest if proposal.why_not)
    for lack, count in lacks.most_common(1):
        yield f"\n{pluralize(count, 'setting')}: {lack}"
    if rest:
        yield f"To see why there is no proposal for {pluralize(len(rest), 'setting')}: tradebot learn --explain"


def _proposal_text(proposal: Proposal) -> str:
    return " ".join(filter(None, (proposal.evidence, proposal.why_not)))


def _name(proposal: Proposal) -> str:
    if proposal.item is Item.BLOCKED:
        gate = "its own filters" if proposal.part == Gate.STRATEGY else f"gate {proposal.part}"
        return f"{clean(proposal.strategy)}, {gate}{f', {proposal.setting}' if proposal.setting else ''}"
    if proposal.setting is None:
        return f"{clean(proposal.strategy)}, no setting"
    return f"{proposal.setting} {proposal.part}".rstrip()


def _end(data: Learned) -> Iterator[str]:
    yield ""
    yield from data.problems
    if data.proposed:
        yield WORTH
    if data.file is None:
        if data.proposed:
            yield CHANGES_NOTHING
        return
    yield f"Written to {data.file}; nothing else is changed."
    if data.looser:
        yield (
            f"{pluralize(len(data.looser), 'setting in the file is', 'settings in the file are')} looser than "
            "accepted, which would block entries:"
        )
        yield from (f"  {describe_difference(row)}" for row in data.looser)
    else:
        yield "Nothing in the file is looser than accepted."
    yield f"Next: tradebot config check {data.file}"


class FittedConfiguration(NamedTuple):
    """A configuration with proposals: its text, all proposals, and the settings looser than what was accepted."""

    text: str
    proposals: tuple[Proposal, ...]
    looser: "tuple[Difference, ...]"


def fit_proposals(app: "App", config: str | None, file: Path, proposals: Sequence[Proposal]) -> FittedConfiguration:
    """Apply the proposals one by one to the bot's own configuration, skipping any with which it wouldn't load.

    A proposal that is skipped, or that another source overrides, is returned without a value and with the reason.
    `file` is where the text will be written: files that it names are resolved relative to that place.
    """
    text, loaded = own_text(app, config), app.loaded
    result = list[Proposal]()
    for proposal in proposals:
        if proposal.proposed is None:
            result.append(proposal)
            continue
        try:
            edited = _edit_text(text, proposal, loaded)
            tried = _load_text(app, file, edited)
        except (CannotEditError, OperatorError) as cannot:
            result.append(_without(proposal, str(cannot).splitlines()[0]))
            continue
        origin = tried.origins.get(proposal.setting or "", str(file))
        if origin != str(file):
            result.append(_without(proposal, f"{origin} sets another value, and overrides the file"))
            continue
        text, loaded = edited, tried
        result.append(proposal)
    looser = tuple(row for row in differences_of(app.folder, loaded) or () if row.looser)
    names = {row.name for row in looser}
    marked = (
        replace(proposal, looser=proposal.proposed is not None and proposal.setting in names) for proposal in result
    )
    return FittedConfiguration(text, tuple(marked), looser)


def own_file(app: "App", config: str | None) -> Path | None:
    """Return the person's own configuration file, if there is one."""
    return user_file(Options(str(app.folder.path), config), app.folder.path, os.environ)


def own_text(app: "App", config: str | None) -> str:
    """Return the text of the person's own configuration file; empty without one."""
    file = own_file(app, config)
    return read_text(file) if file else ""


def _without(proposal: Proposal, why_not: str) -> Proposal:
    return replace(proposal, proposed=None, why_not=f"{proposal.proposed} isn't proposed: {why_not}.")


def _edit_text(text: str, proposal: Proposal, loaded: "Loaded") -> str:
    """Return the text with a proposal; a number of a list of exit rules is changed in the whole list."""
    assert proposal.setting is not None, "a proposal without a setting has no value"
    assert proposal.proposed is not None
    if not proposal.part:
        return with_value(text, path_of(proposal.setting), value_of(proposal.proposed), proposal.proposed)
    listed = loaded.settings.strategies.sections()[proposal.strategy].exits or []
    rules = [{rule: _changed_rule(rule, fields, proposal) for rule, fields in each.items()} for each in listed]
    return with_value(text, path_of(proposal.setting), rules)


def _changed_rule(rule: str, fields: Mapping[str, Any], proposal: Proposal) -> dict[str, Any]:
    return {**fields, NUMBERS[rule]: value_of(proposal.proposed or "")} if rule == proposal.part else dict(fields)


def _load_text(app: "App", file: Path, text: str) -> "Loaded":
    """Load the settings from a text; raise ConfigurationError if they are invalid."""
    values = parse_yaml(text)
    assert isinstance(values, dict), "an edited configuration is a mapping"
    return load_for(app.folder, Options(str(app.folder.path), str(file)), os.environ, values=values)


def run(app: "App", choice: "Choice", config: str | None, write: Path | None) -> Report:
    """Return the proposals; if a file is to be written, put the bot's own configuration with the proposals there."""
    if write is not None:
        _refuse_own(write, own_file(app, config))
    with progress_bar("measuring blocked trades") as progress:
        learn_result, problems, at = read(app, choice, progress)
    fit = fit_proposals(
        app, config, write or own_file(app, config) or app.folder.path / "tradebot.yaml", learn_result.proposals
    )
    proposed = sum(proposal.proposed is not None for proposal in fit.proposals)
    written = write if proposed else None
    if written is not None:
        save(fit.text, written)
    elif write is not None:
        note(f"{write} isn't written, because there are no proposals")
    data = Learned(
        at=at,
        from_date=choice.days.first,
        to_date=choice.days.last,
        trades=learn_result.counts,
        proposals=fit.proposals,
        proposed=proposed,
        unknown=learn_result.unknown,
        problems=problems,
        worth=WORTH,
        file=str(written) if written else None,
        looser=fit.looser if written else (),
    )
    names = [_name(proposal) for proposal in fit.proposals if proposal.proposed is not None]
    if app.folder.kind != BACKTEST:
        app.events.emit(learn_event(app.stamp_time(), data.trades.counted, names, data.file))
    return Report("learn", data, render, bot_identity=identity(app))


def _refuse_own(file: Path, own: Path | None) -> None:
    """Raise OperatorError if a file is the configuration in use: only a person may adopt a proposal."""
    if own is not None and file.exists() and file.samefile(own):
        raise OperatorError(
            f"{file} is this bot's own configuration, and learn never changes that",
            "name another file, review it, and adopt it yourself: tradebot learn --write learned.yaml",
        )
