"""How often strategies held what they wanted, and what kept them from it: a fold over their recorded passes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal
from itertools import chain

from msgspec import Struct

from tradebot.model.candidate import WantKind
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.text import counted
from tradebot.ports.world import Rules

SHOWN = 3
PERCENT = Decimal("0.01")
NONE = Decimal(0)
Rebalance = tuple[str, date, str]
"""A strategy, and the session and name of its slot; without a clock of its own, each session is one rebalance."""
Wanted = Mapping[str, Decimal]
"""By symbol, the most equity that a strategy wanted to hold, as an unsigned share."""


class Targets(Struct, frozen=True):
    """In how many rebalances the targets were held in the end, or ordered in full, and what stopped the others.

    `stopped` counts rebalances by what refused a symbol in their last pass. `fitting` has the limits that were below
    what was wanted in such a rebalance, and the values with which it would have fit. `said` is all that in sentences.
    """

    reached: int
    rebalances: int
    stopped: dict[str, int]
    fitting: dict[str, Decimal]
    without_sector: tuple[str, ...]
    said: tuple[str, ...]


def targets(cycles: Iterable[CycleRecord], filled: Mapping[str, Decimal], rules: Rules) -> Targets | None:
    """Return what became of targets in passes of entries, oldest first; None if there was none.

    `filled` are the shares that orders filled, by our id.
    """
    held, stopped, fitting = dict[str, Wanted](), Counter[str](), dict[str, Decimal]()
    found, without, reached = _last_passes(cycles), dict[str, None](), 0
    for (strategy, *_), records in found.items():
        held[strategy] = {name: _wanted(record, rules) for name, record in records.items()}
        ends = [(name, record.terminal) for name, record in records.items() if not _is_reached(record, filled)]
        reached += not ends
        stopped.update({str(end.reason) if end else "NOT_FILLED" for _, end in ends})
        without |= dict.fromkeys(name for name, end in ends if end and end.reason is Reason.SECTOR_UNKNOWN)
        if ends:
            for name, value in _lacking(strategy, held, rules):
                fitting[name] = max(value, fitting.get(name, NONE))
    if not found:
        return None
    counts, names = dict(stopped.most_common()), tuple(sorted(without))
    said = tuple(_said(reached, len(found), counts, fitting, names))
    return Targets(reached, len(found), counts, fitting, names, said)


def _last_passes(cycles: Iterable[CycleRecord]) -> Mapping[Rebalance, Mapping[str, CandidateRecord]]:
    found: dict[Rebalance, dict[str, CandidateRecord]] = {}
    for cycle in cycles:
        for record in cycle.candidates:
            one = record.candidate
            if one.want is WantKind.TARGET:
                key = one.strategy, one.slot_session or cycle.session, one.slot
                found.setdefault(key, {})[one.symbol] = record
    return found


def _is_reached(record: CandidateRecord, filled: Mapping[str, Decimal]) -> bool:
    if record.client_order_id is not None:
        return filled.get(record.client_order_id) == record.candidate.quantity
    return record.terminal is not None and record.terminal.reason in (Reason.TARGET_REACHED, Reason.SHADOW)


def _wanted(record: CandidateRecord, rules: Rules) -> Decimal:
    """Return the most equity that a target may hold, as a share; one in shares isn't compared with limits."""
    own, weight = rules.of(record.candidate.strategy), abs(record.candidate.weight or NONE)
    # What is above a target by less than the tolerance isn't sold.
    return (weight + own.limits.target_tolerance_fraction) * own.allotment_fraction if weight else NONE


def _lacking(strategy: str, held: Mapping[str, Wanted], rules: Rules) -> Iterator[tuple[str, Decimal]]:
    """Yield the limits, the account's and the strategy's own, that are below what was wanted, with what would fit."""
    own, walls = rules.of(strategy), rules.limits
    # An order's limit is above the price that the shares were worked out at.
    room = 1 + walls.limit_offset_fraction + walls.max_spread_fraction
    for name, size in _sizes(held.values(), rules.sectors).items():
        if size * room > getattr(walls, name):
            yield f"limits.{name}", _rounded(size * room)
    for name, size in _sizes([held[strategy]], rules.sectors).items():
        limit = getattr(own.limits, name) * own.allotment_fraction
        if limit < getattr(walls, name) and size * room > limit:
            yield f"strategies.{strategy}.limits.{name}", _rounded(size * room / own.allotment_fraction)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(PERCENT, ROUND_CEILING)


def _sizes(wants: Iterable[Wanted], sectors: Mapping[str, str]) -> Mapping[str, Decimal]:
    """Return the largest share in one symbol and in one sector, and all together, by the limit on each."""
    of_symbol, of_sector = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    for symbol, share in chain.from_iterable(each.items() for each in wants):
        of_symbol[symbol] += share
        of_sector[sectors.get(symbol, symbol)] += share
    return {
        "max_symbol_fraction": max(of_symbol.values(), default=NONE),
        "max_sector_fraction": max(of_sector.values(), default=NONE),
        "max_gross_fraction": sum(of_symbol.values(), NONE),
    }


def _said(
    reached: int, rebalances: int, stopped: Mapping[str, int], fitting: Mapping[str, Decimal], without: Iterable[str]
) -> Iterator[str]:
    yield f"reached in {reached:,} of {counted(rebalances, 'rebalance')}"
    if stopped:
        most = [f"{reason} in {count:,}" for reason, count in stopped.items()]
        more = f", and {len(most) - SHOWN} more reasons" if len(most) > SHOWN + 1 else ""
        yield f"stopped by {', '.join(most[: SHOWN if more else SHOWN + 1])}{more}"
    if fitting:
        yield f"to fit them: {', '.join(f'{name}: {value}' for name, value in fitting.items())}"
    if names := ", ".join(without):
        yield f"without a sector, so never bought: {names}; give each one under sectors"
