"""Measure how often the gate for learned policies passes noise, how often a true edge, and what broken gates pass.

Each policy is the best, by hindsight, of a study of 20 configurations with five seeds, tested in 500 sessions. Noise
draws targets with the turnover of the others. A true edge is a configuration with a true Sharpe ratio of 3 a year after
costs. Each broken gate makes one mistake, and judges the policies that this mistake lets through.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from msgspec import Struct

from benchmarks.support.figures import Figure, show
from benchmarks.support.policies import CONFIGURATIONS, SEEDS, SESSIONS, Source, Study, ratio_of, shipped, study
from benchmarks.support.sizes import sized
from tradebot.lab.performance.statistics import Interval, wilson_interval
from tradebot.lab.selection.conditions import Comparator, ConditionCheck
from tradebot.lab.selection.policies import PolicyFigures, policy_conditions
from tradebot.model.evidence import PolicyResults
from tradebot.model.struct_tools import replace

MANY, OTHERS, MANY_TRIALS = sized(1_000, 2), sized(200, 1), 100
SHARPE, LUCKY = 3.0, 4.0
NOISE, SKILL = Study(), Study(SHARPE)
Gate = Callable[[PolicyResults], bool]


def passes(of: PolicyResults) -> bool:
    """Return True if results meet all shipped conditions for paper trading."""
    return all(one.is_met() for one in asked_of(of))


def asked_of(of: PolicyResults) -> Iterator[ConditionCheck]:
    rules = shipped()
    return policy_conditions(PolicyFigures(of, of.trials, rules.splits), rules.paper.policy)


def best_seed(of: PolicyResults) -> bool:
    """Use the best seed for all seeds."""
    best = max(of.runs, key=lambda run: ratio_of(run.returns))
    return passes(replace(of, runs=tuple(replace(best, seed=run.seed) for run in of.runs)))


def one_trial(of: PolicyResults) -> bool:
    """Count only the chosen configuration as a trial."""
    return passes(replace(of, trials=1, tried=tuple(one for one in of.tried if one.configuration == of.configuration)))


def wrong_way_round(of: PolicyResults) -> bool:
    """Accept a large p-value instead of a small one."""
    rows = (
        replace(one, must=Comparator.AT_LEAST) if one.name.startswith("policy_spa") else one for one in asked_of(of)
    )
    return all(one.is_met() for one in rows)


def no_embargo(of: PolicyResults) -> bool:
    """Ignore which sessions models were trained on."""
    return all(one.is_met() for one in asked_of(of) if one.name != "policy_seen")


class Control(Struct, frozen=True):
    """A broken gate, the policies that its mistake affects, and whether most of these should pass."""

    broken: Gate
    about: Study
    skilled: bool = False

    def fails(self, share: Interval) -> bool:
        """Return True if the share of passing policies shows that the gate is broken."""
        return share.high < 0.5 if self.skilled else share.low > 0.05


CONTROLS: Mapping[str, Control] = {
    "the best seed counts": Control(best_seed, Study(LUCKY, lucky=True)),
    "one trial counts": Control(one_trial, Study(related=False, configurations=MANY_TRIALS, costs=0.0, follows=1.0)),
    "a large p is good": Control(wrong_way_round, SKILL, skilled=True),
    "no embargo": Control(no_embargo, Study(SHARPE, seen=True)),
}


def study_runner(of: Study) -> Source:
    return partial(study, of=of)


def passed(source: Source, gate: Gate, first: int, many: int) -> Interval:
    """Return the share of a number of policies that pass a gate, with its interval."""
    return wilson_interval(sum(gate(source(number)) for number in range(first, first + many)), many)


def figures() -> Iterator[Figure]:
    kinds = [
        ("noise", NOISE, MANY, 5.0),
        ("noise without costs", Study(costs=0.0), MANY, 5.0),
        ("noise, unrelated configurations", Study(related=False), OTHERS, 5.0),
        (f"Sharpe {SHARPE:g}", SKILL, MANY, None),
        (f"Sharpe {SHARPE:g}, others without any", Study(SHARPE, related=False), OTHERS, None),
        ("Sharpe 2", Study(2.0), OTHERS, None),
        ("Sharpe 4", Study(4.0), OTHERS, None),
        (f"Sharpe {LUCKY:g} in one of {SEEDS} seeds", Study(LUCKY, lucky=True), OTHERS, 5.0),
        (f"Sharpe {SHARPE:g} in sessions used for training", Study(SHARPE, seen=True), OTHERS, 5.0),
    ]
    for name, of, many, bound in kinds:
        share = passed(study_runner(of), passes, 0, many)
        yield Figure(name, f"pass, of {many:,}: {share.low:.1%} to {share.high:.1%}", 100 * share.value, "%", bound)


def alone() -> Iterator[Figure]:
    """Yield how often noise meets each condition by itself."""
    met = Counter(one.name for number in range(OTHERS) for one in asked_of(study(number, NOISE)) if one.is_met())
    for one in asked_of(study(0, NOISE)):
        share = wilson_interval(met[one.name], OTHERS)
        yield Figure(one.name, f"met, of {OTHERS:,}: {share.low:.1%} to {share.high:.1%}", 100 * share.value, "%")


def broken() -> Iterator[Figure]:
    for name, control in CONTROLS.items():
        share = passed(study_runner(control.about), control.broken, 0, OTHERS)
        wanted = "more than half should" if control.skilled else "at most 5% should"
        measured = f"pass, of {OTHERS:,}: {share.low:.1%} to {share.high:.1%}; {wanted}"
        yield Figure(name, measured, 100 * share.value, "%")


def main() -> int:
    status = show(f"The best of {CONFIGURATIONS} configurations, judged in {SESSIONS} sessions", figures())
    status |= show("Noise, condition by condition", alone())
    return status | show("Broken gates, with the policies that their mistake affects", broken())


if __name__ == "__main__":
    sys.exit(main())
