"""What a section says that its strategy wants is compared with the limits before anything runs."""

from typing import Any

import pytest

from tradebot.app.settings import load
from tradebot.errors import ConfigurationError

THIRDS = {"symbol_fraction": 0.34, "gross_fraction": 1, "positions": 3}
WIDE = {"max_symbol_fraction": 0.4, "max_sector_fraction": 0.4, "max_gross_fraction": 1}


def loads(limits: dict[str, Any], **sections: object) -> str:
    """Load strategies with these limits; return why they are refused, empty if they aren't."""
    strategies = {"flow": None, **sections}
    try:
        load(None, {}, {"strategies": strategies, "limits": limits})
    except ConfigurationError as refused:
        return refused.message
    return ""


def section(**own: object) -> dict[str, object]:
    return {"exits": [], "wants": THIRDS, **own}


@pytest.mark.parametrize(
    ("limits", "mine", "says"),
    [
        (
            {**WIDE, "max_symbol_fraction": 0.1},
            section(),
            "mine wants up to 34% in one symbol, but limits.max_symbol_fraction leaves 10% and 30% in 3 symbols: "
            "raise it, or lower strategies.mine.wants",
        ),
        (
            {**WIDE, "max_gross_fraction": 0.6},
            section(),
            "mine wants up to 100% in all, but limits.max_gross_fraction leaves 60%: raise it",
        ),
        (
            {**WIDE, "max_symbol_fraction": 0.33},
            section(wants={**THIRDS, "positions": 30}),
            "leaves 33% and 100% in 30 symbols",
        ),
        (
            WIDE,
            section(limits={"max_symbol_fraction": 0.3}),
            "mine wants up to 34% of its allotment in one symbol, but strategies.mine.limits.max_symbol_fraction "
            "leaves 30% and 90% in 3 symbols",
        ),
        (WIDE, section(wants={**THIRDS, "positions": 0}), "strategies.mine.wants.positions"),
        (WIDE, section(wants={"positions": 3}), "strategies.mine.wants.symbol_fraction"),
    ],
)
def test_limit_that_leaves_less_than_said_is_refused(
    limits: dict[str, Any], mine: dict[str, object], says: str
) -> None:
    assert says in loads(limits, mine=mine)


def test_limits_with_room_for_what_sections_want_load() -> None:
    assert loads(WIDE, mine=section()) == ""
    halves = {"max_symbol_fraction": 0.34, "max_sector_fraction": 0.34, "max_gross_fraction": 1}
    assert loads(halves, mine=section(allotment_fraction=0.5), other=section(allotment_fraction=0.5)) == ""


def test_siblings_that_fit_alone_and_not_together_are_refused_together() -> None:
    both = {"mine": section(allotment_fraction=0.5), "rotation": {"allotment_fraction": 0.5, "exits": []}}
    wide = dict.fromkeys(("max_symbol_fraction", "max_sector_fraction", "max_gross_fraction"), 0.63)
    said = loads(wide, **both)
    assert "rotation and mine together want up to 79.5% in one fund (TLT), but limits.max_symbol_fraction" in said
    assert "rotation and mine together want up to 112.5% in all, but limits.max_gross_fraction leaves 63%" in said
