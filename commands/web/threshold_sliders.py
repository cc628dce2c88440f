"""The thresholds that decided in a recorded pass, each with the values at which the outcome changes.

The pass is replayed with each value, through the same code as `why-no-orders --what-if`.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cache, partial
from threading import Lock
from typing import Any, NamedTuple

from commands.shared.number_format import format_with_unit
from commands.shared.setting_args import values_of
from commands.why_no_orders.reading import known_symbol
from commands.why_no_orders.what_if import (
    WhatIfChanges,
    WhatIfRunner,
    WhatIfSubject,
    asked_pass,
    not_kept,
    require_records,
)
from tradebot.app.thresholds import Path, ThresholdQuestion, ThresholdSetting, format_typed, threshold_of
from tradebot.app.what_if_rules import settings_of
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.decision import Decision
from tradebot.model.reason_codes import Unit
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.replaying.hypothetical_ports import Decided, decide
from tradebot.replaying.passes import RecordedCycle
from tradebot.replaying.record_writer import RecordError
from tradebot.views.what_if import CandidateResult, outcomes_of

MOST_STOPS = 24
"""The most values at which one slider is evaluated and can stop."""
WORK = 1_000
"""How many candidates are decided on for the sliders of one pass; further sliders stop at observed values."""
KEPT = 20
"""The number of passes whose sliders are cached."""


class SliderStop(NamedTuple):
    """A stop of a slider: its value as typed and as formatted, and the resulting number of orders.

    `orders` is None if the pass wasn't replayed with it.
    """

    value: str
    shown: str
    orders: int | None


class Slider(NamedTuple):
    """A threshold: its name, the check that compares with it, how many candidates that refused, and its stops.

    `force` is the value in force in the pass; it is that of one of the stops.
    """

    key: str
    question: str
    refused: int
    force: str
    shown: str
    stops: tuple[SliderStop, ...]

    def nearest(self, value: Decimal) -> int:
        """Return the index of the stop nearest to a value."""
        return min(range(len(self.stops)), key=lambda index: abs(Decimal(self.stops[index].value) - value))


class Sliders(NamedTuple):
    """The sliders of one pass; those whose thresholds refused candidates come first."""

    asked: WhatIfSubject
    orders: int
    sliders: tuple[Slider, ...]


_KEPT: OrderedDict[tuple[str, str, str | None], Sliders] = OrderedDict()
_LOCK = Lock()


def sliders_of(app: App, symbol: str | None, session: str | None, at: str | None) -> Sliders:
    """Return the thresholds that decided in a pass, or about a symbol in it; the recorded pass isn't changed.

    Raise OperatorError if there is no such pass, or if it can't be replayed.
    """
    require_records(app)
    with WhatIfRunner(app, WhatIfChanges()) as asking, _LOCK:
        symbol = known_symbol(app, symbol) if symbol else None
        what_if_subject = asked_pass(asking, symbol, session, at)
        key = str(app.folder.path), what_if_subject.head.id, symbol
        if key not in _KEPT:
            try:
                _KEPT[key] = _Trying(asking, what_if_subject, symbol).sliders()
            except RecordError as error:
                raise not_kept(what_if_subject.head, str(error)) from error
            while len(_KEPT) > KEPT:
                _KEPT.popitem(last=False)
        return _KEPT[key]


class _Trying:
    """Tries values of thresholds on one pass."""

    def __init__(self, asking: WhatIfRunner, asked: WhatIfSubject, symbol: str | None) -> None:
        self._asking, self._asked, self._symbol = asking, asked, symbol
        self._recorded: RecordedCycle = asking.read_record(asked.head)
        self._settings = settings_of(self._recorded.surroundings)
        self._then = decide(self._recorded, asking.supposition(self._recorded.surroundings).before)
        self._work = 0

    def sliders(self) -> Sliders:
        """Return the sliders: those that refused somebody first, in the order of asking."""
        thresholds = self._thresholds()
        refusing = sorted(thresholds, key=lambda path: -thresholds[path].refused)
        sliders = [self._slider(thresholds[path]) for path in refusing]
        return Sliders(self._asked, _orders(self._then, self._then), tuple(stop for stop in sliders if stop.stops[1:]))

    def _thresholds(self) -> Mapping[Path, "_Threshold"]:
        """Return the settings that are the very limit of a question which was asked."""
        by_path: dict[Path, _Threshold] = {}
        limit_of = cache(partial(threshold_of, self._settings))
        for record, decision in self._decisions(self._then.cycle):
            question = ThresholdQuestion(decision.gate, decision.about)
            setting = limit_of(record.candidate.strategy, question, _number(decision.limit))
            if setting is not None:
                threshold = by_path.setdefault(setting.path, _Threshold(setting, question, decision.units[1]))
                refused = threshold.question == question and any(
                    question == (each.gate, each.about) for each in record.decisions if not each.passed
                )
                by_path[setting.path] = threshold._replace(refused=threshold.refused + refused)
        return by_path

    def _decisions(
        self, cycle: CycleRecord, question: ThresholdQuestion | None = None
    ) -> Iterator[tuple[CandidateRecord, Decision]]:
        """Yield what a question compared with a number, or all did, of the symbol that is asked about or of all."""
        for record in cycle.candidates:
            if self._symbol in (None, record.candidate.symbol):
                for decision in record.decisions:
                    asked = question is None or question == (decision.gate, decision.about)
                    if asked and _number(decision.observed) is not None and _number(decision.limit) is not None:
                        yield record, decision

    def _slider(self, knob: "_Threshold") -> Slider:
        force = knob.setting.value
        tried: dict[Decimal, Decided | None] = {force: self._then}
        left = [*self._values(knob, self._then.cycle)]
        while left and len(tried) < MOST_STOPS:
            value = left.pop(0)
            if value in tried:
                continue
            try:
                tried[value] = self._decide_with(knob, value)
            except (OperatorError, RecordError):
                continue
            if (again := tried[value]) is not None:
                # What it lets through moves what the next one is compared with.
                left += [each for each in self._values(knob, again.cycle) if each not in tried]
        stops = [
            SliderStop(
                format_typed(value),
                knob.text(value),
                None if (now := tried[value]) is None else _orders(self._then, now),
            )
            for value in self._telling(tried, force)
        ]
        return Slider(knob.setting.key, knob.name, knob.refused, format_typed(force), knob.text(force), tuple(stops))

    def _values(self, question: "_Threshold", cycle: CycleRecord) -> Iterator[Decimal]:
        """Yield the values nearest to what was compared which let it through, and one at which nothing gets through."""
        same = {Decimal(str(each.observed)) for _, each in self._decisions(cycle, question.question)}
        seen = sorted(same, key=lambda each: abs(each - question.setting.value))
        ways = (question.setting.toward,) if question.setting.toward else (1, -1)
        for number in seen[:MOST_STOPS]:
            for way in ways:
                place = question.setting.scale.place(number, ROUND_CEILING if way > 0 else ROUND_FLOOR)
                yield question.setting.scale.at(place)
                if question.refused and question.setting.scale.at(place) == number:
                    # Some questions let equal numbers through, and some don't.
                    yield question.setting.scale.at(place + way)
        for way in ways if seen else ():
            yield question.setting.scale.at(question.setting.scale.next_to(min(seen) if way > 0 else max(seen), -way))

    def _decide_with(self, question: "_Threshold", value: Decimal) -> Decided | None:
        """Return the pass with another value of a threshold that refused somebody, as long as there is time for it.

        OperatorError if the value doesn't load.
        """
        if not question.refused or self._work >= WORK:
            return None
        self._work += len(self._then.cycle.candidates)
        asking = self._asking.instead(WhatIfChanges(tuple(values_of([(question.setting.key, format_typed(value))]))))
        supposed = asking.supposition(self._recorded.surroundings)
        return decide(asking.apply_changes(self._recorded)[0], supposed.after)

    def _telling(self, tried: Mapping[Decimal, Decided | None], force: Decimal) -> Sequence[Decimal]:
        """Return the values with which something else comes of it than with their neighbor on the way from `force`.

        If nothing ever does, another question refuses too: then those are returned with which this one refuses others.
        """
        for closely in (False, True):
            telling = [
                value for value, nearer in _nearer(sorted(tried), force) if self._differs(tried, value, nearer, closely)
            ]
            if telling:
                break
        return sorted({force, *telling})

    def _differs(self, tried: Mapping[Decimal, Decided | None], value: Decimal, nearer: Decimal, closely: bool) -> bool:
        """Return True if something else comes of a candidate, or `closely` if others refuse it, or nobody knows."""
        decided, other = tried[value], tried[nearer]
        if decided is None or other is None:
            return True
        outcomes = outcomes_of(decided.cycle, other.cycle, (decided.sent, other.sent))
        return any(
            not each.same or (closely and _refusing_questions(each.then) != _refusing_questions(each.now))
            for each in outcomes
            if self._symbol in (None, each.symbol)
        )


def _nearer(ordered: Sequence[Decimal], force: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield each value but the one in force, with its neighbor on the way there."""
    for number, value in enumerate(ordered):
        if value != force:
            yield value, ordered[number + (1 if value < force else -1)]


def _refusing_questions(fate: CandidateResult) -> frozenset[tuple[str, str]]:
    """Return the questions that refuse a candidate."""
    return frozenset((end.gate, end.about) for end in (*fate.others, *((fate.end,) if fate.end else ())))


class _Threshold(NamedTuple):
    """A setting that a question compares with, in its unit, and how many candidates the question refused."""

    setting: ThresholdSetting
    question: ThresholdQuestion
    unit: Unit
    refused: int = 0

    @property
    def name(self) -> str:
        return self.question.about or self.question.gate.value

    def text(self, value: Decimal) -> str:
        """Return a value with its unit, as a screen shows it."""
        return format_with_unit(value, self.unit)


def _orders(then: Decided, now: Decided) -> int:
    return sum(outcome.now.sent for outcome in outcomes_of(then.cycle, now.cycle, (then.sent, now.sent)))


def _number(value: Any) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
