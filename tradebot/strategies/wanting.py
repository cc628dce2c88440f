"""What strategies' targets may ask for, and the limits that leave less.

The bot would keep to such a limit, and hold something else than the rule says without anyone noticing.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from tradebot.model.limits import Limits, Number, OwnLimits, Wanted, given_limits
from tradebot.model.text import counted

OF_SYMBOLS = ("max_symbol_fraction", "max_sector_fraction", "max_theme_fraction")
OF_ALL = ("max_gross_fraction", "max_net_fraction")
"""Limits on exposure as fractions of equity: in symbols that may all be of one kind, and all together."""


class Wanting(Struct, frozen=True):
    """A strategy in use whose targets are known: the most of them, its share of equity, and limits of its own.

    A message calls what it holds by its `noun`, with an `example` of it, and names the setting that wants `less`.
    """

    name: str
    most: Wanted
    allotment_fraction: Decimal
    limits: OwnLimits
    less: str
    noun: str = "symbol"
    example: str = ""


def problems(every: Sequence[Wanting], account: Limits) -> Iterator[str]:
    """Yield a sentence for each limit that leaves less than the strategies want, alone or together."""
    for one in every:
        own = given_limits(one.limits)
        yield from _too_low((one,), one.most, own, f"strategies.{one.name}.limits", " of its allotment")
    symbol, gross = (
        sum((getattr(each.most, name) * each.allotment_fraction for each in every), Decimal(0))
        for name in ("symbol_fraction", "gross_fraction")
    )
    positions = max(each.most.positions for each in every)
    together = Wanted.model_construct(symbol_fraction=symbol, gross_fraction=gross, positions=positions)
    yield from _too_low(every, together, dict(account), "limits", "")


def _too_low(
    every: Sequence[Wanting], most: Wanted, limits: Mapping[str, Number | None], where: str, whole: str
) -> Iterator[str]:
    """Yield what each limit leaves of what is wanted, as a fraction of equity or of an allotment."""
    first, verb = every[0], " wants" if len(every) == 1 else " together want"
    want = " and ".join(each.name for each in every) + verb
    one = f"one {first.noun}{first.example and f' ({first.example})'}"
    for limit, cap in _caps(limits):
        wanted = most.gross_fraction if limit in OF_ALL else most.symbol_fraction
        if cap < wanted:
            held = "all" if wanted > most.symbol_fraction else one
            spread = ""
            if limit == "max_symbol_fraction":
                together = min(most.gross_fraction, most.positions * cap)
                spread = f" and {_percent(together)} in {counted(most.positions, first.noun)}"
            yield (
                f"{want} up to {_percent(wanted)}{whole} in {held}, but {where}.{limit} leaves {_percent(cap)}{spread}"
                f": raise it, or lower {first.less}"
            )
    count = limits.get("max_open_positions")
    if count is not None and count < most.positions:
        held = counted(most.positions, first.noun)
        yield f"{want} up to {held}, but {where}.max_open_positions leaves {count}: raise it"


def _caps(limits: Mapping[str, Number | None]) -> Iterator[tuple[str, Decimal]]:
    """Yield each limit that is set, with the largest share of equity that it leaves."""
    for name in (*OF_SYMBOLS, *OF_ALL):
        if (cap := limits.get(name)) is not None:
            yield name, Decimal(cap)
    if (squared := limits.get("max_concentration")) is not None:
        yield "max_concentration", Decimal(squared).sqrt()


def _percent(fraction: Decimal) -> str:
    return f"{float(100 * fraction):.4g}%"
