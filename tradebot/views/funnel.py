"""Where candidates ended, question by question and symbol by symbol, counted from what passes recorded."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from tradebot.model.record import Ended, EndedPasses


class GateCount(Struct, frozen=True):
    """A question in the order of asking: how many candidates came to it, and how many it was the first to refuse."""

    gate: str
    came: int
    refused: int


class SymbolCount(Struct, frozen=True):
    """One symbol's candidates: how many became orders, and how many each question was the first to refuse, by name.

    candidates = orders + the sum of `refused`.
    """

    symbol: str
    candidates: int
    orders: int
    refused: Mapping[str, int]


class BySymbol(Struct, frozen=True):
    """The candidates of some passes by gate and by symbol; symbols are in the order of their names.

    A strategy's own questions have their own names. `left_out` says in a sentence what a backtest didn't record.
    """

    passes: int
    first_at: datetime | None
    last_at: datetime | None
    candidates: int
    orders: int
    gates: tuple[GateCount, ...]
    symbols: tuple[SymbolCount, ...]
    left_out: str | None = None


def by_symbol(seen: EndedPasses, found: Callable[[str], bool], left_out: str | None = None) -> BySymbol:
    """Count the candidates of some passes; passes and strategies that were refused as a whole have none.

    An order whose outcome wasn't known counts as sent if the venue was `found` to have it.
    """
    ends = [one._replace(gate=None) if one.unknown and found(one.unknown) else one for one in seen.ends]
    counted = defaultdict[str, Counter[str]](Counter)
    for one in ends:
        counted[one.symbol][_name(one)] += one.candidates
    symbols = tuple(_symbol(name, of_one) for name, of_one in sorted(counted.items()))
    return BySymbol(
        passes=seen.passes,
        first_at=seen.first_at,
        last_at=seen.last_at,
        candidates=sum(each.candidates for each in symbols),
        orders=sum(each.orders for each in symbols),
        gates=tuple(_gates(ends)),
        symbols=symbols,
        left_out=left_out,
    )


_SENT = ""


def _name(of: Ended) -> str:
    """Return what a question is called: by the strategy that asks it, or else by its gate."""
    return (of.about or of.gate.value) if of.gate else _SENT


def _symbol(name: str, ends: Mapping[str, int]) -> SymbolCount:
    refused = {gate: count for gate, count in ends.items() if gate != _SENT}
    return SymbolCount(name, sum(ends.values()), ends.get(_SENT, 0), dict(sorted(refused.items())))


def _gates(ends: Sequence[Ended]) -> Iterator[GateCount]:
    """Yield the questions that refused somebody first, in the order of asking."""
    left, counts, place = sum(one.candidates for one in ends), Counter[str](), dict[str, tuple[int, int]]()
    for one in ends:
        if one.gate:
            name = _name(one)
            counts[name] += one.candidates
            place[name] = max(place.get(name, (0, 0)), (one.gate.place, one.place))
    for name in sorted(counts, key=lambda name: (place[name], name)):
        yield GateCount(name, left, counts[name])
        left -= counts[name]
