"""Sum up how the candidates of a pass ended as it is written, and read a long span from these sums.

Reading a million decisions one by one takes seconds. A row has the candidates of one pass in groups that ended alike;
a few of them are then read in full, and stand for the others.
"""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from math import inf
from typing import Any, NamedTuple

from tradebot.adapters.facts.pass_queries import candidates_of, heads_of, with_candidates
from tradebot.adapters.state.cache_database import CacheConnection
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import unpack_all
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, SpanEnds, Standing

SUMS = "SELECT cycle, body FROM json_each(?1) AS pass CROSS JOIN ends ON cycle = pass.value"
PICKED = """SELECT cycle, position, body FROM json_each(?1) AS pick CROSS JOIN candidates
    ON cycle = pick.value ->> 0 AND position = pick.value ->> 1"""


Near = tuple[float | None, str, int]
Old = tuple[float | None, int]


class Alike(NamedTuple):
    """Candidates of one pass that ended alike.

    `strategy` wanted them; `gate`, its `about` and its `place` among what was asked, and `reason` are of the first
    answer that refused them; `then` is the reason of the next one. `above` and `then_above` say whether these had any
    number above zero. `unknown` is the id of an order whose outcome isn't known. `nearest` is the position in its pass
    of the one that came closest, with its distance and its symbol; `oldest` the one with the oldest data, and its age.
    """

    strategy: str
    reason: str | None
    then: str | None
    above: bool | None
    then_above: bool | None
    unknown: str | None
    gate: str | None
    about: str
    place: int
    symbols: list[str]
    nearest: Near
    oldest: Old


KEY = 6
"""How many fields, from the first on, tell apart what needs its own sentence."""
SAME = 9
"""How many fields, from the first on, the candidates of a group have in common."""
FARTHEST = sys.float_info.max


def ends_of(records: Sequence[CandidateRecord]) -> list[Alike]:
    """Return how the candidates of one pass ended."""
    groups: dict[tuple[Any, ...], Alike] = {}
    for position, record in enumerate(records):
        common, symbol = _common(record), record.candidate.symbol
        near, old = _measures(record.terminal, symbol, position)
        group = groups.get(common)
        if group is None:
            groups[common] = Alike._make((*common, [symbol], near, old))
        else:
            group.symbols.append(symbol)
            nearest, oldest = min(group.nearest, near, key=_nearness), max(group.oldest, old, key=_oldness)
            groups[common] = group._replace(nearest=nearest, oldest=oldest)
    return list(groups.values())


def _measures(end: Decision | None, symbol: str, position: int) -> tuple[Near, Old]:
    if end is None:
        return (None, symbol, position), (None, position)
    distance = end.distance
    # JSON knows no infinity.
    return (None if distance is None else min(distance, FARTHEST), symbol, position), (end.oldness_s, position)


def _common(record: CandidateRecord) -> tuple[Any, ...]:
    failures = [(place, one) for place, one in enumerate(record.decisions) if not one.passed]
    (place, end), (_, then) = (*failures, (0, None), (0, None))[:2]
    unknown = record.client_order_id if end and end.reason is Reason.VENUE_UNKNOWN else None
    above, then_above = (one and one.is_above_zero for one in (end, then))
    reasons = end and end.reason, then and then.reason, above, then_above
    asked = (end.gate, end.about, place) if end else (None, "", 0)
    return record.candidate.strategy, *reasons, unknown, *asked


def _nearness(near: Near) -> tuple[float, str, int]:
    distance, symbol, position = near
    return inf if distance is None else distance, symbol, position


def _oldness(old: Old) -> float:
    return -inf if old[0] is None else old[0]


def span_ends(
    database: CacheConnection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
    strategy: str | None = None,
) -> SpanEnds:
    """Return the passes of a job in a session or since a time, with a few candidates that stand for all of them.

    Each of those that ended alike is counted, the one that came closest is there, and the one with the oldest data.
    """
    heads = heads_of(database, job, session=session, since=since, last=last)
    if not heads:
        return SpanEnds((), (), None)
    newest = next(reversed(heads))
    whole = with_candidates(heads[newest], candidates_of(database, [newest])[newest])
    counts, near, old = _merged(sums_of(database, heads), {number: one.at for number, one in heads.items()}, strategy)
    picked = {*near.values(), *old.values()}
    rows = database.execute(PICKED, (json.dumps(list(picked)),)).fetchall()
    read = unpack_all(CandidateRecord, [body for *_, body in rows])
    found = dict(zip([(number, position) for number, position, _ in rows], read, strict=True))
    standing = [(near[key], count) for key, count in counts.items()]
    standing += [(old[key], 0) for key in counts if old[key] != near[key]]
    # In the order of recording, which decides between equals.
    order = {number: place for place, number in enumerate(heads)}
    standing.sort(key=lambda one: (order[one[0][0]], one[0][1]))
    # A row that isn't as it was written counts as absent, and can't stand for anything.
    seen = [Standing(heads[at[0]].at, found[at], count) for at, count in standing if at in found]
    return SpanEnds(tuple(heads.values()), tuple(seen), whole)


Place = tuple[int, int]
"""The number of a pass, and a candidate's position in it."""
Keyed = dict[tuple[Any, ...], Any]


def _merged(
    sums: Iterable[tuple[int, list[Any]]], times: Mapping[int, datetime], strategy: str | None
) -> tuple[dict[Any, int], dict[Any, Place], dict[Any, Place]]:
    """Return by what ended alike: how many did, which one was nearest, and which one had the oldest data."""
    counts: Keyed = {}
    near: Keyed = {}
    old: Keyed = {}
    for number, groups in sums:
        at = times[number]
        for group in groups:
            if strategy is not None and group[0] != strategy:
                continue
            key, (distance, symbol, position), (age_s, older) = tuple(group[:KEY]), group[-2], group[-1]
            nearest = inf if distance is None else distance, symbol, at, (number, position)
            oldest = -inf if age_s is None else age_s, (number, older)
            if key not in counts:
                counts[key], near[key], old[key] = len(group[SAME]), nearest, oldest
                continue
            counts[key] += len(group[SAME])
            near[key] = min(near[key], nearest)
            old[key] = max(old[key], oldest)
    return counts, {key: one[-1] for key, one in near.items()}, {key: one[-1] for key, one in old.items()}


def sums_of(database: CacheConnection, passes: Collection[int]) -> Iterable[tuple[int, list[Any]]]:
    """Yield the groups of each pass; those of one that an earlier version of this program wrote are made from it."""
    rows = database.execute(SUMS, (json.dumps(list(passes)),)).fetchall()
    yield from zip([number for number, _ in rows], json.loads(f"[{','.join(body for _, body in rows)}]"), strict=True)
    if lacking := sorted(set(passes) - {number for number, _ in rows}):
        for number, records in candidates_of(database, lacking).items():
            # As they would have been read: a gate is no text to a dictionary.
            yield number, json.loads(json_text(ends_of(records)))
