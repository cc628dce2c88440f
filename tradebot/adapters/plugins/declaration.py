"""Check what a plug-in declares of itself before anything is fetched for it."""

from tradebot.adapters.plugins.messages import Declared
from tradebot.desk.answers import MAX_TEXT
from tradebot.model.needs import BarNeed
from tradebot.model.series import MOST_BARS, width_of
from tradebot.signals.kinds import kind_names

MOST_NEEDS = 20
"""The most series of bars per symbol that a plug-in may need."""
MOST_SYMBOLS = 1000
"""The most symbols that one need may name."""
MOST_LETTERS = 32
"""The longest symbol, in characters."""


def require_valid(declared: Declared) -> None:
    """Raise ValueError, with the first fault, unless these are needs that can be met."""
    known = kind_names()
    unknown = [kind for kind in declared.facts if kind not in known]
    if unknown:
        raise ValueError(f"it needs {unknown[0][:40]!r}, which isn't a kind of facts; known: {', '.join(known)}")
    if len(declared.bars) > MOST_NEEDS:
        raise ValueError(f"it needs {len(declared.bars)} series of bars per symbol; the most is {MOST_NEEDS}")
    for need in declared.bars:
        _require_bars(need)
    if len(declared.times) > MAX_TEXT:
        raise ValueError(f"its times are longer than {MAX_TEXT} characters")


def _require_bars(need: BarNeed) -> None:
    width_of(need.timeframe[:40])
    if not 1 <= need.depth <= MOST_BARS:
        raise ValueError(f"it needs {need.depth} bars of {need.timeframe}; the depth is 1 to {MOST_BARS}")
    if need.max_age_s is not None and need.max_age_s <= 0:
        raise ValueError(f"it needs bars that are {need.max_age_s} s old at most; max_age_s is above 0")
    if len(need.symbols) > MOST_SYMBOLS or not all(0 < len(symbol) <= MOST_LETTERS for symbol in need.symbols):
        raise ValueError(f"a need names at most {MOST_SYMBOLS} symbols of at most {MOST_LETTERS} characters each")
