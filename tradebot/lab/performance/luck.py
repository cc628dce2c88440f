"""Say whether an account's result can be told from luck, in sentences."""

from collections.abc import Iterator, Mapping, Sequence

from tradebot.lab.performance.report import Figure, Selected
from tradebot.lab.performance.return_figures import DIFFERENCES
from tradebot.lab.performance.statistics import CONFIDENCE
from tradebot.model.text import counted


def luck(against: Sequence[Figure], selected: Selected | None, names: Mapping[str, str]) -> Iterator[str]:
    """Yield whether differences from benchmarks, and the selected ratio, can be told from luck.

    `names` are what the benchmarks are called, by the names of their differences. What has no interval is left out.
    """
    for each in against:
        within = _within(each) if each.name in names else None
        if within is not None:
            ends = "so which is better can't be told from luck" if within else "so that is hardly luck alone"
            name, zero = names[each.name], f"zero is {_inside(within)}"
            yield f"Its mean difference from {name} is {_interval(each)}: {zero}, {ends}."
    if selected and selected.deflated.value is not None:
        yield _deflated(selected, selected.deflated.value)


def names_of(benchmark: str | None, leveled: str) -> Mapping[str, str]:
    """Return what benchmarks are called by the names of the differences from them; none for one that isn't known."""
    called = {"benchmark": benchmark, "leveled": leveled}
    return {name: text for column, (name, _) in DIFFERENCES.items() if (text := called[column])}


def _within(of: Figure) -> bool | None:
    return None if of.low is None or of.high is None else of.low <= 0 <= of.high


def _inside(within: bool) -> str:
    return "within that" if within else "outside of that"


def _interval(of: Figure) -> str:
    return f"{of.value:+.3%}, and with 95% confidence between {of.low:+.3%} and {of.high:+.3%}"


def _deflated(of: Selected, value: float) -> str:
    enough = "enough" if value >= CONFIDENCE else "not enough"
    return (
        f"The chance that the true Sharpe ratio is above what the best of {counted(of.trials, 'trial')} has by luck is "
        f"{value:.1%}: {enough}, by the usual {CONFIDENCE:.0%}."
    )
