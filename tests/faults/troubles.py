"""The troubles that a schedule draws from: of the venue and the network, of disk, clocks and people, and plain kills.

A venue's trouble is a rule of the exchange's own fault scripts, and so are its lies, which `venues.py` has. The others
befall a run at the n-th failpoint that it reaches, requests left out, or hold it to a limit of the system's from its
beginning.
"""

import errno
import os
import random
import resource
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from tests.faults.ground import Limit, ScheduleDay, descriptors
from tests.kit import venues
from tests.kit.values import Killed
from tests.kit.venues import AT, LIES
from tradebot.adapters.state import state_folder
from tradebot.model.trading import TradingState

WRITES = tuple(kind for kind in ("submit", "submit", "cancel", "replace") if kind not in AT.lacks)
WRITTEN_BY = {"entries": {"submit"}, "exits": set(WRITES)}
"""What a verb asks the venue to do; the others only read."""
SELDOM = {"cancel", "replace"} - AT.lacks
READS = ("clock", "account", "positions", "orders", "order", "activities", "snapshots")
SURE = {"clock", "account", "positions", "orders"}
"""What every run reads."""
SENT_BY = {"entries": {"submit"}, "exits": SELDOM, "compare": set[str]()}
"""What a verb asks the venue to do in most of its runs."""
BOTH = (*WRITES, *WRITES, *READS)
ORDERS = ("submit", "orders", "order")


class Rule(NamedTuple):
    """What a venue may do, and to which kinds of request; `begins` names the books that make such a request sure.

    Several things may be done together.
    """

    what: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
    befalls: Sequence[str]
    begins: str = ""

    def rules(self, tag: str, when: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the rules of the exchange that do it."""
        if isinstance(self.what, (str, Mapping)):
            return [{"name": tag, "when": when, "what": self.what}]
        one_by_one = zip(self.what, self.befalls, strict=True)
        return [{"name": f"{tag}.{kind}", "when": {"request": kind}, "what": what} for what, kind in one_by_one]


def _field(name: str) -> str:
    return AT.fields.get(name, name)


def _statuses() -> Iterator[tuple[str, Rule]]:
    for status in (429, 500, 502, 503, 504):
        for acceptance in ("before", "after"):
            yield f"{status} {acceptance}", Rule({"status": status, "acceptance": acceptance}, BOTH)


SKEWS = {"venue's clock ahead": timedelta(seconds=90), "venue's clock behind": timedelta(minutes=-2)}
"""By how much the venue tells a wrong time. A pass that reads it dates itself wrong too."""
_RULES: Mapping[str, Rule] = {
    "reply lost": Rule("reply_lost", BOTH),
    **dict(_statuses()),
    "redirect before": Rule({"redirect": 302}, BOTH),
    "redirect after": Rule({"redirect": 307, "acceptance": "after"}, BOTH),
    "page for people": Rule("html_body", BOTH),
    "page for people before": Rule({"html_body": None, "acceptance": "before"}, BOTH),
    "cut body": Rule("truncated_json", BOTH),
    "cut body and connection": Rule({"truncated_json": None, "connection": "closed"}, BOTH),
    "empty body": Rule("empty_body", BOTH),
    "silence after": Rule({"hang": "30s"}, BOTH),
    "silence before": Rule({"hang": "30s", "acceptance": "before"}, BOTH),
    "reset after": Rule("reset", BOTH),
    "reset before": Rule({"reset": "before"}, BOTH),
    "expired keys": Rule("expired_keys", BOTH),
    "late, 504": Rule({"late_arrival": "2m"}, WRITES),
    "late, lost": Rule({"late_arrival": "7m", "answer": "lost"}, WRITES),
    "very late, reset": Rule({"late_arrival": "12m", "answer": "reset"}, WRITES),
    "twice": Rule("delivered_twice", WRITES),
    "twice, first answer": Rule({"delivered_twice": None, "answer": "first"}, WRITES),
    "rejected later": Rule("reject_after_acceptance", ("submit", "cancel", "replace")),
    "change refused": Rule("refused", ("cancel", "replace")),
    "acknowledged late": Rule({"late_acknowledgement": "2m"}, ("submit",)),
    "acknowledged very late": Rule({"late_acknowledgement": "12m", "status": "accepted"}, ("submit",)),
    "partial, then canceled": Rule("partial_then_cancel", ("submit",)),
    "filled while canceled": Rule("fill_during_cancel", ("cancel",)),
    "halted symbol": Rule({"halt_symbol": "5m"}, ("submit",)),
    "halted symbol for good": Rule("halt_symbol", ("submit",)),
    "stale quotes": Rule({"stale_quotes": "10m"}, ("snapshots",)),
    "frozen quotes": Rule("stale_quotes", ("snapshots",)),
    "crossed quotes": Rule("crossed_quotes", ("snapshots",)),
    **{name: Rule({"clock_skew": f"{ahead.total_seconds():.0f}s"}, ("clock",)) for name, ahead in SKEWS.items()},
    "unknown status": Rule({"unknown_enum": "status"}, (*ORDERS, "account")),
    "unknown kind": Rule({"unknown_enum": "asset_class"}, (*ORDERS, "positions")),
    "no status": Rule({"missing_field": "status"}, ORDERS),
    "no quantity": Rule({"missing_field": _field("filled_qty")}, ORDERS),
    "no name": Rule({"missing_field": _field("client_order_id")}, ORDERS),
    "no amount": Rule({"missing_field": _field("qty")}, ("activities", "positions")),
    "no equity": Rule({"missing_field": _field("equity")}, ("account",)),
    "pairs refused": Rule({"class_refused": "oco"}, ("submit",), "short"),
    "legs left out": Rule("legs_left_out", ("submit",), "short"),
    "exits told late": Rule({"exits_told_late": "2m"}, ("submit",), "short"),
    "replace needs shares": Rule("replace_needs_shares", ("replace",), "leaving"),
    "replace starts over": Rule("replace_starts_over", ("replace",), "leaving"),
    "exit through the market refused": Rule("marketable_exit_refused", ("replace",), "leaving"),
    "shares freed late": Rule(
        ("marketable_exit_refused", {"shares_freed_late": "2m"}), ("replace", "cancel"), "leaving"
    ),
}
RULES = {
    name: rule._replace(befalls=tuple(kind for kind in rule.befalls if kind not in AT.lacks))
    for name, rule in _RULES.items()
    if name not in AT.leaves_out
}
"""Slow answers are left out, which take real time, and the streams' faults: the bot hears no stream."""

DISK = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EROFS")}
SQLITE = {errno.ENOSPC: "SQLITE_FULL", errno.EIO: "SQLITE_IOERR", errno.EROFS: "SQLITE_READONLY"}
OF_SQLITE = ("ledger_file.commit", "cache_database.commit", "cache_database.create")
NOT_OF_A_DISK = ("http.", AT.sends)
LIMITS = ("EMFILE", "EFBIG")
JUMPS: Mapping[str, Mapping[str, Any]] = {
    "asleep for 3 s": {"seconds": 3},
    "asleep for 11 min": {"seconds": 660},
    "asleep until after the close": {"to": "close"},
    "asleep until the next open": {"to": "next_open"},
}
DATES = {"date an hour back": timedelta(hours=-1), "date a day on": timedelta(days=1), "date a year on": timedelta(365)}
HALTS = {"halted meanwhile": TradingState.REDUCE_ONLY, "flatten meanwhile": TradingState.FLATTEN}
UNASKED = {"suspended by the venue": "suspend", "stopped by the venue": "stop", "canceled by the venue": "cancel"}
KILL = "killed"
AT_THE_DISK = (*DISK, "EFBIG")
SOON, LATEST = 12, 26
"""Points that every run reaches, and that the longest do; what fails at the first is nothing that a pass needs."""
WIDEST = 90
"""The widest limit, which most runs live with: each four of it are one descriptor, and each one is GROWTH bytes."""
GROWTH = 350
TWIN = "another copy orders"
AT_A_POINT = (*DISK, *JUMPS, *HALTS, *UNASKED, TWIN, KILL)
EVERY = (*RULES, *LIES, *AT_A_POINT, *LIMITS, *DATES)
"""The names of all troubles."""
READ_AGAIN = tuple(name for name, rule in RULES.items() if "clock" in rule.befalls and "clock" not in name)
"""Troubles of reads, which are tried again and, where that is no use, end the pass."""


class Card(NamedTuple):
    """A trouble to be dealt, and whether it lasts: on the disk to the end of the run, in reads until it is lifted."""

    name: str
    lasting: bool = False


OF_WRITES = tuple(name for name, rule in RULES.items() if set(rule.befalls) <= set(WRITES) and not rule.begins)
RARE = (*OF_WRITES, *AT_THE_DISK, "redirect before", "redirect after", "503 before", "reset before")
"""Troubles that miss many a run, or end most that they befall."""
CARDS = (*map(Card, (*EVERY, *RARE)), *(Card(name, lasting=True) for name in (*READ_AGAIN, *DISK)))
"""What is dealt in turn, so that each trouble is met as often, and those that end a pass have ended some."""


@dataclass(frozen=True)
class Trouble:
    """One trouble of a run, as it was drawn; `rules` are those of the exchange that make it.

    `at` is the failpoint that it waits for. One of the disk may be `lasting`, to the end of the run; a kill or a halt
    may come `at_socket` instead, where an order is about to be sent.
    """

    name: str
    at: int = 0
    lasting: bool = False
    at_socket: bool = False
    rules: Sequence[Mapping[str, Any]] = ()


def drawn(chance: random.Random, tag: str, verb: str) -> Trouble:
    """Draw one trouble of a verb; `tag` names its rule at the exchange."""
    kind = chance.random()
    if kind < 0.35:
        name = chance.choice(_possible(verb))
        return Trouble(name, rules=RULES[name].rules(tag, _when(chance, RULES[name], verb)))
    if kind < 0.6:
        name = chance.choice(list(LIES))
        return Trouble(name, rules=list(venues.lie_rules(chance, name, tag)))
    name = chance.choice((*AT_A_POINT, *AT_A_POINT, KILL, KILL, KILL, KILL, *LIMITS, *DATES))
    at_socket = name in (KILL, *HALTS) and chance.random() < 0.3
    return Trouble(name, chance.randint(1, 36), chance.random() < 0.3, at_socket)


def _possible(verb: str) -> Sequence[str]:
    """Return the rules that may befall a verb, those of requests that are seldom sent several times."""
    sent = WRITTEN_BY.get(verb, set()) | set(READS)
    possible = [(name, set(rule.befalls)) for name, rule in RULES.items() if sent & set(rule.befalls)]
    return [name for name, befalls in possible for _ in range(4 if befalls <= SELDOM else 1)]


def _when(chance: random.Random, rule: Rule, verb: str) -> dict[str, Any]:
    written = WRITTEN_BY.get(verb, set())
    request = chance.choice([kind for kind in rule.befalls if kind not in WRITES or kind in written])
    first = 1 if request in WRITES or request == "activities" else chance.randint(1, 2)
    if request == "submit" and chance.random() < 0.3:
        first = 2
    place = {"from": first} if chance.random() < 0.25 else {"nth": first}
    return {"request": request, **place}


class Fate:
    """What befalls one run at the failpoints that it reaches; `happened` names the troubles that did."""

    def __init__(self, day: ScheduleDay, troubles: Sequence[Trouble]) -> None:
        self._day = day
        self._due = [trouble for trouble in troubles if trouble.name in AT_A_POINT]
        self._reached = 0
        self._sending = self._dead = False
        self.happened: set[str] = set()

    def __call__(self, point: str) -> None:
        """Be told of a point."""
        if self._dead:
            raise Killed
        if point.startswith("http."):
            return
        self._reached += 1
        if point.startswith(AT.sends):
            self._sending = point.endswith("before")
        for trouble in [trouble for trouble in self._due if self._is_time(trouble, point)]:
            self._befall(trouble, point)

    def _is_time(self, trouble: Trouble, point: str) -> bool:
        return point.startswith(AT.sends) if trouble.at_socket else trouble.at <= self._reached

    def _befall(self, trouble: Trouble, point: str) -> None:
        if trouble.name in DISK:
            self._disk(trouble, point)
        elif trouble.name in JUMPS:
            # Between the last look at the time and the socket nobody can be kept from falling asleep.
            if not self._sending and self._day.jump(JUMPS[trouble.name]):
                self._done(trouble)
        elif trouble.name in HALTS:
            self._done(trouble)
            self._day.halt(HALTS[trouble.name])
        elif trouble.name in UNASKED:
            if self._day.unasked(UNASKED[trouble.name]):
                self._done(trouble)
        elif trouble.name == TWIN:
            if self._day.order_elsewhere(venues.COPY):
                self._done(trouble)
        else:
            self._done(trouble)
            self._dead = True
            raise Killed

    def _done(self, trouble: Trouble) -> None:
        self.happened.add(trouble.name)
        self._due.remove(trouble)

    def _disk(self, trouble: Trouble, point: str) -> None:
        """Let the next effect on the disk fail, and all others of this run where the trouble lasts."""
        if point.startswith(NOT_OF_A_DISK) or point.endswith(".after"):
            return
        self.happened.add(trouble.name)
        if not trouble.lasting:
            self._due.remove(trouble)
        number = DISK[trouble.name]
        if point.rpartition(".")[0] not in OF_SQLITE:
            raise OSError(number, os.strerror(number))
        error = sqlite3.OperationalError(os.strerror(number))
        error.sqlite_errorname, error.sqlite_errorcode = SQLITE[number], getattr(sqlite3, SQLITE[number])
        raise error


def met_by(name: str) -> Sequence[str]:
    """Return the verbs whose runs a trouble befalls, if not all of them."""
    if name in RULES and RULES[name].begins:
        return ("exits",)
    if name in OF_WRITES:
        befalls = RULES[name].befalls
        if "submit" not in befalls:
            return ("exits",)
        return ("entries", "entries", "exits") if SELDOM & set(befalls) else ("entries",)
    return ("entries", "exits", "compare")


def placed(chance: random.Random, card: Card, tag: str, verb: str) -> Trouble:
    """Return the trouble of a card, placed where a run of the verb is likely to meet it."""
    name, lasting = card
    if name in LIES:
        return Trouble(name, rules=list(venues.lie_rules(chance, name, tag)))
    if name not in RULES:
        at_socket = name in (KILL, *HALTS) and verb == "entries" and chance.random() < 0.5
        at = chance.choice((1, chance.randint(1, LATEST))) if name in DISK and not lasting else chance.randint(1, SOON)
        at = chance.randint(1, WIDEST) if name in LIMITS else at
        return Trouble(name, at, lasting, at_socket)
    befalls = RULES[name].befalls
    sent = set(befalls) if RULES[name].begins else SENT_BY[verb]
    written = [kind for kind in befalls if kind in sent and not lasting]
    request = chance.choice(written or [kind for kind in befalls if kind in SURE] or befalls)
    place = {"from": 1} if lasting else {"nth": 1}
    return Trouble(name, rules=RULES[name].rules(tag, {"request": request, **place}))


def limit_of(day: ScheduleDay, troubles: Sequence[Trouble]) -> Limit | None:
    """Return the limit that a run is held to, if any: descriptors that are left, or how long a file may grow."""
    for trouble in troubles:
        if trouble.name == "EMFILE":
            return descriptors(trouble.at // 4)
        if trouble.name == "EFBIG":
            names = (state_folder.JOURNAL, state_folder.LEDGER, state_folder.FACTS, state_folder.LEDGER)
            path = day.folder / names[trouble.at % len(names)]
            size = path.stat().st_size if path.exists() else 0
            return Limit(resource.RLIMIT_FSIZE, size + GROWTH * trouble.at)
    return None


def rules_of(troubles: Sequence[Trouble]) -> list[Mapping[str, Any]]:
    """Return the rules to be armed at the exchange."""
    return [rule for trouble in troubles for rule in trouble.rules]


def fired(day: ScheduleDay) -> Counter[str]:
    """Return how often each rule has fired by now; one may stay armed from one pass to the next."""
    return Counter({armed.rule.name: armed.fired for armed in day.exchange.faults.book if armed.fired})
