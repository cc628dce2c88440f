"""Show sliders for the thresholds of a recorded pass, with the result of `why-no-orders --what-if`.

The stops of a slider are the values at which the outcome changes. The pass is replayed with each of them, by the same
code.
"""

import shlex
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from functools import cache, partial
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from markupsafe import Markup
from rich.console import Console

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_with_unit
from commands.shared.setting_args import values_of
from commands.shared.span_options import PassSpan, span_of
from commands.shared.times import CLOCK, stamp, when, zone
from commands.shared.verb_options import Report
from commands.web.html_rendering import Page, PageField, PagePart, Query, render_html
from commands.web.page_data import render_problem
from commands.why_no_orders import run as why_no_orders
from commands.why_no_orders.past_passes import run_all, run_session
from commands.why_no_orders.reading import known_symbol, requested_session
from commands.why_no_orders.what_if import (
    WhatIfChanges,
    WhatIfRunner,
    WhatIfSubject,
    not_kept,
    requested_pass,
    require_records,
)
from tradebot import __version__
from tradebot.app.thresholds import Path, ThresholdQuestion, ThresholdSetting, format_typed, threshold_of
from tradebot.app.what_if_rules import settings_of
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.decision import Decision
from tradebot.model.reason_codes import Unit
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.sentences import pluralize
from tradebot.replaying.hypothetical_ports import ReplayOutcome, decide
from tradebot.replaying.passes import RecordedCycle
from tradebot.replaying.record_writer import RecordError
from tradebot.views.what_if import CandidateResult, outcomes_of

PREFIX = "if."
"""The prefix of a changed setting in a page's query."""
MOST_CHANGES = 40
SPANS = ("session", "2h", "1d", "5d", "30d")
SESSION, AT = PageField("session", "Session", "date"), PageField("at", "Pass at", "time")
ANSWER = "/what-if"
NOTHING = Markup(
    "<p>Nothing is changed, so every candidate has its recorded result. Move a slider, or type a value: the pass is "
    "decided again from its record.</p>"
)
TALLEST, LEAST = 22, 4
HEIGHT = TALLEST + LEAST
"""The height of the bars above a slider, in pixels; without orders there is a tick."""
MOST_STOPS = 24
"""The most values at which one slider is evaluated and can stop."""
WORK = 1_000
"""How many candidates are replayed for one pass's sliders; further sliders stop at observed values."""
KEPT = 20
"""The number of passes whose sliders are cached."""


class SliderStop(NamedTuple):
    """One stop of a slider: its value as typed and as displayed, and how many orders result from it.

    `orders` is None if the pass wasn't replayed with this value.
    """

    value: str
    shown: str
    orders: int | None


class Slider(NamedTuple):
    """A threshold: its name, the check that uses it, how many candidates that check refused, and the slider's stops.

    `force` is the value that was in force in the pass; one of the stops has this value.
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
    """Return sliders for the thresholds that decided a pass, or decided on one symbol in it.

    The recorded pass isn't changed. Raise OperatorError if there is no such pass, or if it can't be replayed.
    """
    require_records(app)
    with WhatIfRunner(app, WhatIfChanges()) as asking, _LOCK:
        symbol = known_symbol(app, symbol) if symbol else None
        what_if_subject = requested_pass(asking, symbol, session, at)
        key = str(app.folder.path), what_if_subject.head.id, symbol
        if key not in _KEPT:
            try:
                _KEPT[key] = _SliderTrials(asking, what_if_subject, symbol).sliders()
            except RecordError as error:
                raise not_kept(what_if_subject.head, str(error)) from error
            while len(_KEPT) > KEPT:
                _KEPT.popitem(last=False)
        return _KEPT[key]


class _SliderTrials:
    """Replays one pass with other values of thresholds."""

    def __init__(self, asking: WhatIfRunner, subject: WhatIfSubject, symbol: str | None) -> None:
        self._asking, self._asked, self._symbol = asking, subject, symbol
        self._recorded: RecordedCycle = asking.read_record(subject.head)
        self._settings = settings_of(self._recorded.surroundings)
        self._then = decide(self._recorded, asking.supposition(self._recorded.surroundings).before)
        self._work = 0

    def sliders(self) -> Sliders:
        """Return the sliders: those that refused candidates first, in the order of evaluation."""
        thresholds = self._thresholds()
        refusing = sorted(thresholds, key=lambda path: -thresholds[path].refused)
        sliders = [self._slider(thresholds[path]) for path in refusing]
        return Sliders(self._asked, _orders(self._then, self._then), tuple(stop for stop in sliders if stop.stops[1:]))

    def _thresholds(self) -> Mapping[Path, "_Threshold"]:
        """Return the settings that are exactly the limit of an evaluated check."""
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
        """Yield the decisions of one check, or of all, that compared numbers; for one symbol or all."""
        for record in cycle.candidates:
            if self._symbol in (None, record.candidate.symbol):
                for decision in record.decisions:
                    is_asked = question is None or question == (decision.gate, decision.about)
                    if is_asked and _number(decision.observed) is not None and _number(decision.limit) is not None:
                        yield record, decision

    def _slider(self, knob: "_Threshold") -> Slider:
        force = knob.setting.value
        tried: dict[Decimal, ReplayOutcome | None] = {force: self._then}
        remaining = [*self._values(knob, self._then.cycle)]
        while remaining and len(tried) < MOST_STOPS:
            value = remaining.pop(0)
            if value in tried:
                continue
            try:
                tried[value] = self._decide_with(knob, value)
            except (OperatorError, RecordError):
                continue
            if (again := tried[value]) is not None:
                # A changed threshold lets other values through to the next check.
                remaining += [each for each in self._values(knob, again.cycle) if each not in tried]
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
        """Yield the values of a threshold that the nearest compared numbers just pass, and one that none of them
        passes.
        """
        same = {Decimal(str(each.observed)) for _, each in self._decisions(cycle, question.question)}
        values = sorted(same, key=lambda each: abs(each - question.setting.value))
        ways = (question.setting.toward,) if question.setting.toward else (1, -1)
        for number in values[:MOST_STOPS]:
            for way in ways:
                index = question.setting.scale.index_of(number, ROUND_CEILING if way > 0 else ROUND_FLOOR)
                yield question.setting.scale.at(index)
                if question.refused and question.setting.scale.at(index) == number:
                    # Some checks let equal numbers pass, and some don't.
                    yield question.setting.scale.at(index + way)
        for way in ways if values else ():
            yield question.setting.scale.at(
                question.setting.scale.next_to(min(values) if way > 0 else max(values), -way)
            )

    def _decide_with(self, question: "_Threshold", value: Decimal) -> ReplayOutcome | None:
        """Replay the pass with another value of a threshold that refused candidates, within the limit of work.

        Raise OperatorError if the value isn't valid.
        """
        if not question.refused or self._work >= WORK:
            return None
        self._work += len(self._then.cycle.candidates)
        asking = self._asking.instead(WhatIfChanges(tuple(values_of([(question.setting.key, format_typed(value))]))))
        supposed = asking.supposition(self._recorded.surroundings)
        return decide(asking.apply_changes(self._recorded)[0], supposed.after)

    def _telling(self, tried: Mapping[Decimal, ReplayOutcome | None], force: Decimal) -> Sequence[Decimal]:
        """Return the values whose outcome differs from their neighbor's on the way from `force`.

        If none does, another check refuses too: then return those at which this check refuses other candidates.
        """
        for closely in (False, True):
            telling = [
                value for value, nearer in _nearer(sorted(tried), force) if self._differs(tried, value, nearer, closely)
            ]
            if telling:
                break
        return sorted({force, *telling})

    def _differs(
        self, tried: Mapping[Decimal, ReplayOutcome | None], value: Decimal, nearer: Decimal, closely: bool
    ) -> bool:
        """Return True if a candidate's outcome differs or is unknown, or, with `closely`, if other checks refuse it."""
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
    """Yield each value except the one in force, with its neighbor in the direction of the value in force."""
    for number, value in enumerate(ordered):
        if value != force:
            yield value, ordered[number + (1 if value < force else -1)]


def _refusing_questions(fate: CandidateResult) -> frozenset[tuple[str, str]]:
    """Return the checks that refuse a candidate."""
    return frozenset((end.gate, end.about) for end in (*fate.others, *((fate.end,) if fate.end else ())))


class _Threshold(NamedTuple):
    """A setting that a check compares with, its unit, and how many candidates the check refused."""

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


def _orders(then: ReplayOutcome, now: ReplayOutcome) -> int:
    return sum(outcome.now.sent for outcome in outcomes_of(then.cycle, now.cycle, (then.sent, now.sent)))


def _number(value: Any) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def is_change(name: str) -> bool:
    """Return True for a query parameter that changes a setting."""
    return name.startswith(PREFIX)


def parts(query: Query, symbol: str | None = None) -> list[PagePart]:
    """Return the sliders for the requested pass, or for a symbol in it, with the resulting decisions."""
    return [PagePart("What if a threshold had been different", lambda app: _beside(app, query, symbol), wide=True)]


def _beside(app: App, query: Query, symbol: str | None) -> Markup:
    form = _sliders(app, query, symbol)
    try:
        answer = _answer(app, query, symbol)
        html = (
            render_html(lambda console: answer.render(console, answer.data)) if isinstance(answer, Report) else answer
        )
    except TradebotError as error:
        html = render_problem(error)
    return Markup(
        '<div class="beside">{}<div class="answer" role="region" tabindex="0" aria-label="Decided again">'
        "<h3>Decided again</h3>{}</div></div>"
    ).format(form, html)


def _answer(app: App, query: Query, symbol: str | None) -> Report | Markup:
    """Return the verb's result for the changes, with the equivalent command."""
    typed = _typed_changes(app, query, symbol)
    if not typed:
        return NOTHING
    # Name the pass, so that the command gives the same result after later ones.
    session, at = _pass(app, query, symbol)
    report = why_no_orders.run_what_if(app, symbol, typed, session=session, at=at, span=PassSpan())
    words = ["tradebot", "why-no-orders", *([symbol] if symbol else [])]
    words += ["--session", session, "--at", at]
    words += [part for change in typed for part in ("--what-if", change)]

    def show(console: Console, data: object) -> None:
        report.render(console, data)
        console.print(f"The same question on the command line: {clean(shlex.join(words))}", markup=False, style="dim")

    return Report(report.verb, report.data, show, report.exit_code, report.bot_identity)


def _typed_changes(app: App, query: Query, symbol: str | None) -> list[str]:
    """Return the changes as typed; a form has all values, and those in force are no changes."""
    typed = {name.removeprefix(PREFIX): text for name, text in query.items() if is_change(name)}
    if len(typed) > MOST_CHANGES:
        raise OperatorError(f"{len(typed)} settings are too many to change at once", f"change {MOST_CHANGES} at most")
    if len(typed) > 1:
        force = {
            slider.key: slider.force
            for slider in sliders_of(app, symbol, query.get("session"), query.get("at")).sliders
        }
        typed = {name: text for name, text in typed.items() if name not in force or not _equal(text, force[name])}
    return [f"{name}={text}" for name, text in typed.items()]


def _pass(app: App, query: Query, symbol: str | None) -> tuple[str, str]:
    """Return the session and time of the requested pass: the last one of a session, or of all."""
    head = sliders_of(app, symbol, query.get("session"), query.get("at")).asked.head
    return str(head.session), stamp(head.at, CLOCK) + ("Z" if zone() == "UTC" else "")


def _equal(text: str, force: str) -> bool:
    number = _parse_number(text)
    return number is not None and number == Decimal(force)


def _parse_number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _sliders(app: App, query: Query, symbol: str | None) -> Markup:
    """Return a form with a slider and a number field for each threshold."""
    sliders = sliders_of(app, symbol, query.get("session"), query.get("at"))
    session, at = _pass(app, query, symbol)
    subject = {"session": session, "at": at, **({"symbol": symbol} if symbol else {})}
    address = f"{ANSWER}?{urlencode(subject, quote_via=quote)}"
    files = Markup(
        '<link rel="stylesheet" href="/static/{0}/what_if.css"><script src="/static/{0}/what_if.js" defer></script>'
    ).format(__version__)
    markup = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, text)
        for name, text in query.items()
        if not is_change(name)
    )
    return Markup(
        '{}<form class="what-if" method="get" action="" data-answer="{}"><p>{}</p>{}{}<p '
        'class="buttons"><button>Decide again</button> <button type="button" class="quiet" data-all>Reset '
        'all</button></p><p class="said" role="status"></p></form>'
    ).format(files, address, _about(sliders, symbol), markup, _groups(sliders, query))


def _about(sliders: Sliders, symbol: str | None) -> str:
    about = f" about {clean(symbol)}" if symbol else ""
    sent = "" if symbol else f", with {pluralize(sliders.orders, 'order')}"
    return (
        f"The pass at {when(sliders.asked.head.at)}{sent}. Each step of a slider is a value at which the pass would "
        f"have decided differently{about}. The pass is decided again from its record: nothing is sent, and no "
        "setting is changed."
    )


def _groups(sliders: Sliders, query: Query) -> Markup:
    refusing = [slider for slider in sliders.sliders if slider.refused]
    others = [slider for slider in sliders.sliders if not slider.refused]
    markup = Markup("").join(_slider(slider, number, query) for number, slider in enumerate(refusing))
    if not sliders.sliders:
        return Markup("<p>The pass compared nothing with a threshold here.</p>")
    if not refusing:
        markup = Markup("<p>No threshold refused anything.</p>")
    if not others:
        return markup
    is_open = (
        " open" if any(not _equal(query.get(PREFIX + other.key, other.force), other.force) for other in others) else ""
    )
    rest = Markup("").join(_slider(slider, number, query) for number, slider in enumerate(others, len(refusing)))
    return Markup("{}<details{}><summary>{} that refused nothing</summary>{}</details>").format(
        markup, is_open, pluralize(len(others), "threshold"), rest
    )


def _slider(slider: Slider, number: int, query: Query) -> Markup:
    text = query.get(PREFIX + slider.key, slider.force)
    value = _parse_number(text)
    index = slider.nearest(Decimal(slider.force) if value is None else value)
    stop = slider.stops[index]
    stop_text = _stop_text(slider, index) if value == Decimal(stop.value) else ""
    refused = f", refused {slider.refused}" if slider.refused else ""
    options = Markup("").join(
        Markup('<option value="{}" label="{}">').format(each.value, _stop_text(slider, at))
        for at, each in enumerate(slider.stops)
    )  # fmt: skip
    return Markup(
        '<div class="slider{changed}" data-force="{force}">'
        '<label for="if-{n}">{key}</label><span class="about">{question}{refused}</span>'
        '<div class="track">{bars}<input type="range" id="range-{n}" min="0" max="{last}" step="1" value="{place}" '
        'aria-label="{key}" aria-valuetext="{said}"></div>'
        '<input type="number" id="if-{n}" name="{name}" value="{text}" step="any" list="stops-{n}" '
        'aria-describedby="said-{n}"><output id="said-{n}" for="if-{n} range-{n}">{said}</output>'
        '<button type="button" class="quiet" aria-label="{key} as it was">as it was: {shown}</button>'
        '<datalist id="stops-{n}">{options}</datalist></div>'
    ).format(
        n=number, changed="" if value == Decimal(slider.force) else " changed", key=clean(slider.key),
        question=clean(slider.question), refused=refused, bars=_bars(slider),
        last=len(slider.stops) - 1, place=index, said=stop_text, name=PREFIX + slider.key, text=text,
        force=slider.force, shown=slider.shown, options=options,
    )  # fmt: skip


def _stop_text(slider: Slider, index: int) -> str:
    """Describe a stop: its value with its unit, and the number of orders if nothing else is changed."""
    return ", ".join(_words(slider, index))


def _words(slider: Slider, index: int) -> Iterator[str]:
    stop = slider.stops[index]
    yield stop.shown
    if stop.value == slider.force:
        yield "as it was"
    elif stop.orders is not None:
        yield f"alone: {pluralize(stop.orders, 'order')}"


def _bars(slider: Slider) -> Markup:
    """Return a bar for each stop, as high as its number of orders; a tick if there are none, or if that is unknown."""
    most, last = max(stop.orders or 0 for stop in slider.stops), len(slider.stops) - 1
    height = HEIGHT if most else LEAST
    lines = Markup("").join(
        Markup('<line x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"{3}/>').format(
            round(100 * index / last, 2), height, height - LEAST - round(TALLEST * (stop.orders or 0) / (most or 1)),
            Markup(' class="force"') if stop.value == slider.force else "",
        )
        for index, stop in enumerate(slider.stops)
    )  # fmt: skip
    return Markup('<svg height="{}" aria-hidden="true">{}</svg>').format(height, lines)


def _span(query: Query) -> PassSpan | None:
    """Return the requested period; None for one session."""
    since = query.get("since")
    return None if since in (None, SPANS[0]) else span_of(None, since)


def _summed_up(app: App, query: Query) -> Report:
    span = _span(query)
    return run_session(app, None, query.get("session"), None, None) if span is None else run_all(app, span, None)


def _of_the_pass(app: App, query: Query) -> Report:
    session, at = query.get("session"), query.get("at")
    if session is None and at is None:
        return why_no_orders.run(app, None, PassSpan())
    return run_session(app, None, *_pass(app, query, None), None)


def _by_symbol(app: App, query: Query) -> Report:
    span = _span(query)
    if span is not None:
        return why_no_orders.run_by_symbol(app, span, None)
    day = requested_session(app, query.get("session"))
    return why_no_orders.run_by_symbol(app, PassSpan(), str(day) if day else None)


def _funnel(query: Query) -> Sequence[PagePart]:
    span = query.get("since")
    over = "The session" if span in (None, SPANS[0]) else f"The last {span}"
    return [
        PagePart(over, lambda app: _summed_up(app, query)),
        PagePart("One pass", lambda app: _of_the_pass(app, query)),
        *parts(query),
        PagePart(f"{over}, by symbol", lambda app: _by_symbol(app, query), wide=True),
    ]


def _alone(query: Query) -> Sequence[PagePart]:
    return [PagePart("Decided again", lambda app: _answer(app, query, query.get("symbol")), wide=True)]


PAGES = (
    Page("funnel", "/funnel", "Funnel", _funnel, (SESSION, AT, PageField("since", "Over", SPANS))),
    Page("what-if", ANSWER, "What if", _alone, (SESSION, AT, PageField("symbol", "Symbol")), is_listed=False),
)
