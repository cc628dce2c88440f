"""Read what became of one symbol's candidates in a span, and of each only the answers that refused it.

Most of a candidate's text are answers that let it pass. They are parsed with the rest, and nothing is made of them.
"""

import sqlite3
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from tradebot.adapters.facts.of_span import heads_of, rows_of_symbol
from tradebot.adapters.text.codec import unpack
from tradebot.model.decision import Decision, Verdict
from tradebot.model.record import CycleRecord, Outcome, SymbolOutcomes


class _Wanted(Struct, array_like=True):
    """What is needed of a candidate as it was packed, which has more fields after these."""

    strategy: str


class _Judged(Struct, array_like=True):
    """A candidate's record as it was packed, without the fields after these."""

    candidate: _Wanted
    decisions: list[list[Any]]
    client_order_id: str | None = None


_decode = Decoder(_Judged).decode
_VERDICT, _PASS = Decision.__struct_fields__.index("verdict"), Verdict.PASS.value


def outcomes(
    database: sqlite3.Connection,
    job: str,
    symbol: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
) -> SymbolOutcomes:
    """Return the passes of a job in a session or since a time, and what became of a symbol's candidates in them."""
    passes = heads_of(database, job, session=session, since=since, last=last)
    found = {number: list[Outcome]() for number in passes}
    for number, body in rows_of_symbol(database, passes, symbol):
        found[number].append(_outcome(passes[number], _decode(body)))
    return SymbolOutcomes(tuple(passes.values()), tuple([one for some in found.values() for one in some]))


def _outcome(one: CycleRecord, judged: _Judged) -> Outcome:
    refusals = tuple([unpack(Decision, each) for each in judged.decisions if each[_VERDICT] != _PASS])
    return Outcome(one.at, one.slot, judged.candidate.strategy, refusals, judged.client_order_id)
