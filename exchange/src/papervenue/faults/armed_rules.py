"""Store the armed rules, and count how often they match and fire; the log keeps the counts across restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from papervenue.chance import random_stream
from papervenue.faults.fault_table import FAULTS
from papervenue.faults.kinds import STREAMS, Facts, is_change, is_of_kind
from papervenue.faults.rules import MOST_RULES, Rule, RuleError, read_rules
from papervenue.market.sessions import Calendar
from papervenue.times import parse_time, rfc3339

ARMED, CLEARED, COUNTED, FIRED = "fault_armed", "fault_cleared", "fault_counted", "fault_fired"
NOTES = (COUNTED, FIRED)
"""Log events that this book writes. No command reproduces them, because they are decided outside the engine."""
_DECIDING = ("answer", "order")
_COUNTS_EVERY_S = 1.0

Note = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class ArmedRuleState:
    """An armed rule and its counts; `began_us` is when it first fired."""

    rule: Rule
    armed_us: int
    seen: int = 0
    fired: int = 0
    began_us: int | None = None

    @property
    def is_spent(self) -> bool:
        """Return True if the rule can't fire again."""
        when = self.rule.when
        ends = [end for end in (when.last, max(when.nth, default=None)) if end is not None]
        return (when.at_most is not None and self.fired >= when.at_most) or any(self.seen >= end for end in ends)

    def due(self) -> bool:
        when = self.rule.when
        if not when.includes(self.seen):
            return False
        drawn = random_stream("fault", when.seed, self.rule.name, self.seen)
        return when.probability >= 1 or drawn.random() < when.probability

    def to_json(self) -> dict[str, Any]:
        written = self.rule.written
        return {
            "name": self.rule.name,
            "when": written.get("when") or {},
            "what": written["what"],
            "armed_at": rfc3339(self.armed_us),
            "seen": self.seen,
            "fired": self.fired,
            "spent": self.is_spent,
        }


class RuleFiring(NamedTuple):
    """A rule that fires on a request or event for the `number`-th time; `since_us` is when its fault began."""

    rule: Rule
    since_us: int
    number: int

    @property
    def role(self) -> str:
        """Return what the fault acts on, such as the response or the order."""
        return FAULTS[self.rule.fault].role


class ArmedRules:
    """The armed rules of an exchange; `note` writes what they decide into the log.

    If a rule matches a request that changes something, the match is logged at once even if the rule doesn't fire. Reads
    and events can number thousands a second, so their counts are logged only once per second of real time (`now_s`).
    """

    def __init__(self, calendar: Calendar, note: Note, now_s: Callable[[], float] = time.monotonic) -> None:
        self._calendar = calendar
        self._note = note
        self._now_s = now_s
        self._noted_s = now_s()
        self._owed: dict[str, ArmedRuleState] = {}
        self._armed: dict[str, ArmedRuleState] = {}
        self.on_requests = self.on_streams = False
        """Whether any rule can apply to requests or to stream events; if none can, rules aren't checked at all."""
        self.asks_accounts = False
        """Whether any rule names an account."""

    def __iter__(self) -> Iterator[ArmedRuleState]:
        return iter(self._armed.values())

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, text: str, now_us: int) -> list[ArmedRuleState]:
        """Arm the rules of a script; if one is invalid, raise RuleError and arm none."""
        rules = read_rules(text)
        twice = next((rule.name for rule in rules if rule.name in self._armed), None)
        if twice is not None:
            raise RuleError(
                f"a rule named {twice} is armed already: clear it first, or give this one another name",
                f"papervenue faults clear {twice}",
            )
        if len(self._armed) + len(rules) > MOST_RULES:
            raise RuleError(f"at most {MOST_RULES} rules can be armed at once", "papervenue faults clear")
        armed = [ArmedRuleState(rule, now_us) for rule in rules]
        self._armed |= {rule.rule.name: rule for rule in armed}
        self._look()
        return armed

    def clear(self, name: str | None) -> list[str]:
        """Clear one rule, or all if `name` is None; return the names of those that were armed."""
        names = [rule for rule in self._armed if name in (None, rule)]
        for armed in names:
            del self._armed[armed]
            self._owed.pop(armed, None)
        self._look()
        return names

    def _look(self) -> None:
        streamed = [bool(armed.rule.when.stream) or FAULTS[armed.rule.fault].role == "stream" for armed in self]
        self.on_streams, self.on_requests = any(streamed), not all(streamed)
        self.asks_accounts = any(armed.rule.when.account for armed in self)

    def restore(self, event: Mapping[str, Any]) -> None:
        """Restore a rule's counts from a note in the log."""
        armed = self._armed.get(str(event.get("rule")))
        if armed is None:
            return
        armed.seen = int(event["seen"])
        if event["event"] == FIRED:
            armed.fired = int(event["fired"])
            armed.began_us = parse_time(event["at"]) if armed.began_us is None else armed.began_us

    def firings(self, facts: Facts, now_us: int) -> list[RuleFiring]:
        """Count a request or event for every rule whose conditions it meets, and return the firing rules, oldest first.

        Of the rules that determine the response or the request's outcome, only the first that is due fires.
        """
        fired: list[RuleFiring] = []
        meeting = [arm for arm in self if not arm.is_spent and _meets(arm.rule, facts) and self._is_time(arm, now_us)]
        for armed in meeting:
            armed.seen += 1
            decides = FAULTS[armed.rule.fault].role in _DECIDING
            taken = decides and any(firing.role in _DECIDING for firing in fired)
            if armed.due() and not taken:
                fired.append(self._fire(armed, facts, now_us))
            else:
                self._owed[armed.rule.name] = armed
        if self._owed:
            self.note_counts(at_once=is_change(facts.target))
        return fired

    def note_counts(self, *, at_once: bool) -> None:
        """Write the new counts into the log if a second has passed since the last time, or in any case if `at_once`."""
        if not self._owed or not (at_once or self._now_s() - self._noted_s >= _COUNTS_EVERY_S):
            return
        owed, self._owed, self._noted_s = self._owed, {}, self._now_s()
        for armed in owed.values():
            self._note(COUNTED, {"rule": armed.rule.name, "seen": armed.seen})

    @property
    def has_unsaved_counts(self) -> bool:
        """Return True if some counts aren't in the log yet."""
        return bool(self._owed)

    def in_force(self, fault: str, now_us: int) -> Iterator[ArmedRuleState]:
        """Yield the rules of a fault whose time window is open now, regardless of their other conditions."""
        return (armed for armed in self if armed.rule.fault == fault and self._is_time(armed, now_us))

    def _is_time(self, armed: ArmedRuleState, now_us: int) -> bool:
        when = armed.rule.when
        if when.after is not None:
            start_us = when.after.engine_us(self._calendar, now_us)
            if start_us is None or now_us < start_us:
                return False
        if when.until is None:
            return True
        end_us = when.until.engine_us(self._calendar, now_us)
        return end_us is not None and now_us < end_us

    def _fire(self, armed: ArmedRuleState, facts: Facts, now_us: int) -> RuleFiring:
        armed.fired += 1
        armed.began_us = now_us if armed.began_us is None else armed.began_us
        self._note(FIRED, _describe_firing(armed, facts))
        self._owed.pop(armed.rule.name, None)
        return RuleFiring(armed.rule, self.began(armed, now_us), armed.fired)

    def began(self, armed: ArmedRuleState, now_us: int) -> int:
        """Return when a rule's fault began: when its time window opened, or when it first fired."""
        after = armed.rule.when.after
        start_us = after.engine_us(self._calendar, now_us) if after else None
        begun = now_us if armed.began_us is None else armed.began_us
        return begun if start_us is None else max(start_us, armed.armed_us)


def _meets(rule: Rule, facts: Facts) -> bool:
    """Return True if a request or event matches a rule's conditions other than time and counts."""
    when = rule.when
    return (
        _matches(rule, facts)
        and _fits(facts.symbols, when.symbol)
        and when.side in ("", facts.side)
        and _fits((facts.client_order_id,), when.client_order_id)
        and _fits(facts.account, when.account)
        and _fits((facts.event,), when.event)
    )


def _matches(rule: Rule, facts: Facts) -> bool:
    fault = FAULTS[rule.fault]
    if facts.target in STREAMS:
        return facts.target in (rule.when.stream or fault.streams or (STREAMS if fault.role == "stream" else ()))
    if rule.when.stream or fault.role == "stream":
        return False
    # A halt whose conditions name no request depends on time alone.
    if fault.role == "market" and not rule.when.request:
        return False
    requests = rule.when.request or ("any",)
    return _is_any(facts.target, requests) and (not fault.goes_with or _is_any(facts.target, fault.goes_with))


def _is_any(target: str, kinds: Iterable[str]) -> bool:
    return any(is_of_kind(target, kind) for kind in kinds)


def _fits(values: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for value in values for pattern in patterns)


def _describe_firing(armed: ArmedRuleState, facts: Facts) -> dict[str, Any]:
    shown = {
        "symbols": list(facts.symbols),
        "side": facts.side,
        "client_order_id": facts.client_order_id,
        "account": facts.account[0] if facts.account else "",
        "stream_event": facts.event,
    }
    what = {"rule": armed.rule.name, "fault": armed.rule.fault, "seen": armed.seen, "fired": armed.fired}
    return what | {"on": facts.target} | {name: value for name, value in shown.items() if value}
