"""Validate the section of a built-in strategy when the configuration is loaded, and its targets against the limits.

A limit may allow less than a target. The bot would respect the limit and silently deviate from the strategy's rule.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct
from pydantic import ValidationError

from tradebot.model.limits import Frozen, Limits, Number, OwnLimits, TargetBounds, strategy_limits
from tradebot.model.sentences import describe_validation_error, pluralize

Settings = TypeVar("Settings", bound=Frozen)


class SectionError(ValueError):
    """Raised for errors in a strategy's section; each argument is a sentence that begins with the setting's name."""

    def __str__(self) -> str:
        return "; ".join(self.args)


def validate_section(
    name: str, model: type[Settings], section: Mapping[str, object]
) -> Generator[str, None, Settings | None]:
    """Yield the errors in a strategy's section; return its settings, or None if they are invalid."""
    try:
        return model.model_validate(section)
    except ValidationError as invalid:
        yield from sentences(invalid, f"strategies.{name}")
        return None


def sentences(invalid: ValidationError, where: str) -> Iterator[str]:
    """Yield a sentence for each mistake in a section.

    The sentence begins with the full name of the setting, which starts with the section's name `where`.
    """
    for error in invalid.errors():
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, SectionError):
            yield from (f"{where}.{sentence}" for sentence in cause.args)
        else:
            yield f"{'.'.join([where, *map(str, error['loc'])])}: {_wrong(error)}"


def _wrong(error: Mapping[str, object]) -> str:
    return "there is no such setting" if error["type"] == "extra_forbidden" else describe_validation_error(error)


OF_SYMBOLS = ("max_symbol_fraction", "max_sector_fraction", "max_theme_fraction")
OF_ALL = ("max_gross_fraction", "max_net_fraction")
"""Limits on exposure as fractions of equity, whatever the number of symbols."""


class TargetStrategy(Struct, frozen=True):
    """A strategy in use with the bounds of its targets, its share of equity, and its own limits.

    The other fields are for messages: `noun` is a word for its instruments, `example` names one of them, and `less`
    names the setting that reduces its targets.
    """

    name: str
    most: TargetBounds
    allotment_fraction: Decimal
    limits: OwnLimits
    less: str
    noun: str = "symbol"
    example: str = ""


def problems(every: Sequence[TargetStrategy], account: Limits) -> Iterator[str]:
    """Yield a sentence for each limit that allows less than the strategies propose, alone or together."""
    for wanting in every:
        own = strategy_limits(wanting.limits)
        yield from _too_low((wanting,), wanting.most, own, f"strategies.{wanting.name}.limits", " of its allotment")
    symbol, gross = (
        sum((getattr(each.most, name) * each.allotment_fraction for each in every), Decimal(0))
        for name in ("symbol_fraction", "gross_fraction")
    )
    positions = max(each.most.positions for each in every)
    together = TargetBounds.model_construct(symbol_fraction=symbol, gross_fraction=gross, positions=positions)
    yield from _too_low(every, together, dict(account), "limits", "")


def _too_low(
    every: Sequence[TargetStrategy], most: TargetBounds, limits: Mapping[str, Number | None], where: str, whole: str
) -> Iterator[str]:
    """Yield a sentence for each limit that is lower than what is wanted, as a fraction of equity or of an allotment."""
    first, verb = every[0], " wants" if len(every) == 1 else " together want"
    want = " and ".join(each.name for each in every) + verb
    least_text = f"one {first.noun}{first.example and f' ({first.example})'}"
    for limit, cap in _caps(limits):
        wanted = most.gross_fraction if limit in OF_ALL else most.symbol_fraction
        if cap < wanted:
            symbols_text = "all" if wanted > most.symbol_fraction else least_text
            spread = ""
            if limit == "max_symbol_fraction":
                together = min(most.gross_fraction, most.positions * cap)
                spread = f" and {_percent(together)} in {pluralize(most.positions, first.noun)}"
            yield (
                f"{want} up to {_percent(wanted)}{whole} in {symbols_text}, but {where}.{limit} leaves "
                f"{_percent(cap)}{spread}"
                f": raise it, or lower {first.less}"
            )
    count = limits.get("max_open_positions")
    if count is not None and count < most.positions:
        symbols_text = pluralize(most.positions, first.noun)
        yield f"{want} up to {symbols_text}, but {where}.max_open_positions leaves {count}: raise it"


def _caps(limits: Mapping[str, Number | None]) -> Iterator[tuple[str, Decimal]]:
    """Yield each limit that is set, with the largest fraction of equity that it allows."""
    for name in (*OF_SYMBOLS, *OF_ALL):
        if (cap := limits.get(name)) is not None:
            yield name, Decimal(cap)
    if (squared := limits.get("max_concentration")) is not None:
        yield "max_concentration", Decimal(squared).sqrt()


def _percent(fraction: Decimal) -> str:
    return f"{float(100 * fraction):.4g}%"
