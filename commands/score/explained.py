"""`score --explain SYMBOL`: take one symbol's score apart, without recording anything.

Everything needed to compute the score by hand is in the document: a component's value is its formula over its inputs,
its contribution is value x weight / the sum of all weights, and the score is the sum of the contributions.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from commands.shared.universe import in_universe
from tradebot.app.wiring import App
from tradebot.desk.views import Sights
from tradebot.model.candidate import Component, OptionContract
from tradebot.model.decision import Decision
from tradebot.model.inputs import ComponentInputs, Input
from tradebot.model.view import StrategyView
from tradebot.model.wants import Open
from tradebot.ports.strategy import ExplainedStrategy, Strategy
from tradebot.signals.formula import evaluate, names

STEPS: Mapping[str, float] = {
    "USD": 100_000,
    "fraction": 0.01,
    "volatility": 0.01,
    "a year": 0.01,
    "of the float": 0.01,
    "0 to 1": 0.01,
    "-1 to 1": 0.01,
    "contracts": 1_000,
    "shares": 100_000,
}
"""How much more "one unit more" is in units of which a single one means nothing; it is 1 in all others."""


class ExplainedInput(Struct, frozen=True):
    """One input of a component, in `unit`; `row` is the id of the stored row that it was read from, if it was one.

    `age_s` is its age at the time of the explanation. `step` more of it would change the score by `score_change`; both
    are None if the formula doesn't read it by its name.
    """

    name: str
    value: Decimal | float
    unit: str
    at: datetime | date | None
    age_s: float | None
    row: str
    step: float | None
    score_change: float | None


class ExplainedComponent(Struct, frozen=True):
    """One part of a score: contribution = value x weight / sum of all weights; None if its data is missing.

    `inferred` says what of it the source doesn't define.
    """

    name: str
    value: float | None
    weight: float
    contribution: float | None
    formula: str | None
    absent: str | None
    inferred: str
    inputs: tuple[ExplainedInput, ...]


class ExplainedContract(Struct, frozen=True):
    """An option contract behind the score, with what it costs to trade: the spread as a fraction, and one in USD.

    `alerts` are the ids of the stored alerts about it, newest first.
    """

    contract: str
    net_premium_usd: Decimal
    at: datetime
    bid: Decimal | None
    ask: Decimal | None
    spread_fraction: Decimal | None
    cost_usd: Decimal | None
    volume: int
    open_interest: int
    opening_inferred: bool | None
    sweep_inferred: bool
    alerts: tuple[str, ...]


class ExplainedScore(Struct, frozen=True):
    """One strategy's score of the symbol: the sum of its contributions; `decisions` are the strategy's own filters.

    `coverage` is the share of the weight for which there is data. Side and score are None if the strategy's answer was
    refused; the decision says why. `contracts` are the options that speak for the score's direction.
    """

    strategy: str
    side: str | None
    score: float | None
    coverage: float | None
    total_weight: float
    components: tuple[ExplainedComponent, ...]
    contracts: tuple[ExplainedContract, ...]
    decisions: "tuple[Decision, ...]"


class Explained(Struct, frozen=True):
    """How a symbol is scored now; `flow_age_s` is the age of its flow at `at`, None if it was never fetched."""

    symbol: str
    at: datetime
    flow_fetched_at: datetime | None
    flow_age_s: float | None
    scores: tuple[ExplainedScore, ...]


def explained(app: "App", symbol: str) -> Explained:
    """Score the universe as `score` does, record nothing, and break one symbol's score down."""
    symbol = in_universe(app, symbol)
    world, now = app.world(dry_run=True), app.now()
    facts = world.facts.last_answers((symbol,), now).get(symbol)
    fetched = facts.alerts_fetched_at if facts else None
    sights = Sights(world, now, app.strategies)
    return Explained(
        symbol=symbol,
        at=now,
        flow_fetched_at=fetched,
        flow_age_s=(now - fetched).total_seconds() if fetched else None,
        scores=tuple(
            score for strategy in app.strategies for score in _scores(strategy, sights.of(strategy).view, symbol)
        ),
    )


def _scores(strategy: "Strategy", view: "StrategyView", symbol: str) -> Iterator[ExplainedScore]:
    proposed = strategy.propose(view)
    if isinstance(proposed, Decision):
        yield ExplainedScore(strategy.name, None, None, None, 0, (), (), (proposed,))
        return
    for want in proposed:
        if isinstance(want, Open) and want.symbol == symbol:
            yield _explained(strategy, want, view)


def _explained(strategy: "Strategy", want: "Open", view: "StrategyView") -> ExplainedScore:
    inputs: Sequence[ComponentInputs] = ()
    contracts: Sequence[OptionContract] = want.contracts
    if isinstance(strategy, ExplainedStrategy):
        inputs = strategy.inputs(view, want.symbol)
        contracts = strategy.contracts(view, want.symbol, 1 if want.score > 0 else -1) if want.score else ()
    total = sum(component.weight for component in want.components)
    by_name = {found.component: found for found in inputs}
    parts = (_component(part, by_name.get(part.name), total, view.now) for part in want.components)
    return ExplainedScore(
        strategy=strategy.name,
        side=want.side.value,
        score=want.score,
        coverage=want.coverage,
        total_weight=total,
        components=tuple(parts),
        contracts=tuple(map(_contract, contracts)),
        decisions=want.decisions,
    )


def _component(part: "Component", found: "ComponentInputs | None", total: float, now: datetime) -> ExplainedComponent:
    share = part.weight / total if total else 0.0
    return ExplainedComponent(
        name=part.name,
        value=part.value,
        weight=part.weight,
        contribution=None if part.value is None else part.value * share,
        formula=found.formula if found else None,
        absent=found.absent if found else None,
        inferred=found.inferred if found else "",
        inputs=tuple(_inputs(found, part.value, share, now)) if found else (),
    )


def _inputs(found: "ComponentInputs", value: float | None, share: float, now: datetime) -> Iterator[ExplainedInput]:
    read = names(found.formula) if value is not None else frozenset()
    given = {each.name: float(each.value) for each in found.values}
    for each in found.values:
        age_s = (now - each.at).total_seconds() if isinstance(each.at, datetime) else None
        step, change = _one_more(each, found.formula, given, share) if each.name in read else (None, None)
        yield ExplainedInput(each.name, each.value, each.unit, each.at, age_s, each.row, step, change)


def _one_more(
    each: "Input", formula: str, given: Mapping[str, float], share: float
) -> tuple[float | None, float | None]:
    """Return how much "one more" of an input is, and what it would do to the score; None where it has no result."""
    step = STEPS.get(each.unit, 1.0)
    try:
        change = evaluate(formula, {**given, each.name: given[each.name] + step}) - evaluate(formula, given)
    except ArithmeticError:
        return None, None
    return step, change * share


def _contract(one: "OptionContract") -> ExplainedContract:
    return ExplainedContract(
        contract=one.symbol,
        net_premium_usd=one.net_premium,
        at=one.at,
        bid=one.bid,
        ask=one.ask,
        spread_fraction=one.spread_fraction,
        cost_usd=one.cost_usd,
        volume=one.volume,
        open_interest=one.open_interest,
        opening_inferred=one.opening,
        sweep_inferred=one.sweep,
        alerts=one.alerts,
    )
