"""Headlines from a source besides the flow: fetched on its own terms, stored as news, and counted from arrival."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.desk.test_fetching import Reader, fetched
from tests.kit.core.scene import NAMES, Scene
from tests.kit.values import DAY, NOW
from tradebot.adapters.flow.headlines import FlowWithHeadlines
from tradebot.desk.features import with_moment
from tradebot.desk.fetching import headlines_plan, needed_facts
from tradebot.desk.proposals import propose
from tradebot.errors import AllowanceSpentError, OperatorError, TradebotError, one_line
from tradebot.model.flow import Allowance
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureNeed, FeatureRow, StrategyView, Target, Want
from tradebot.ports.world import World
from tradebot.signals.headlines import headlines_kind
from tradebot.signals.kinds import kind_of

MINUTE, NEED = timedelta(minutes=1), FeatureNeed("1Hour", ("news_macro", "news_merger"))


class Wire:
    """A source that answers with the headlines of the period, or with an error."""

    def __init__(self, *published: datetime, error: TradebotError | None = None) -> None:
        self.published, self.error = list(published), error
        self.asked: list[tuple[timedelta, timedelta]] = []

    def headlines(self, since: datetime, until: datetime) -> Sequence[object]:
        if self.error is not None:
            raise self.error
        self.asked.append((since - NOW, until - NOW))
        times = [at for at in self.published if since <= at <= until]
        return [{"id": f"{at}", "created_at": f"{at}", "headline": "CPI rises", "tickers": []} for at in times]


def following(wire: Wire, *kinds: str, allowance: Allowance | None = None) -> tuple[Scene, World]:
    """Return a bot that needs headlines, and some kinds of the flow."""
    scene = Scene()
    scene.facts.__init__()  # type: ignore[misc]
    world = scene.world()
    needed = {**{kind_of(name): NAMES for name in kinds}, headlines_kind(): NAMES}
    flow = FlowWithHeadlines(
        world.flow, lambda: wire, lambda: scene.venue.now, lambda: scene.facts.last_fetch("news", None)
    )
    rules = replace(world.rules, news_apart=True, news_allowance=allowance)
    return scene, replace(world, flow=flow, needed_facts=needed, rules=rules)


def news(scene: Scene, at: datetime) -> dict[str, float]:
    """Return the features of the news known at a time; absent ones are left out."""
    return dict(with_moment(NEED, FeatureRow(at, {}), at, None, scene.facts.market(DAY, at)).values)


def test_headline_counts_from_its_arrival_for_an_hour_and_never_before() -> None:
    scene, world = following(Wire(NOW - 20 * MINUTE, NOW + 30 * MINUTE))
    for minutes in (0, 55, 100):
        scene.venue.now = NOW + minutes * MINUTE
        fetched(scene, world)
    counts = {minutes: news(scene, NOW + minutes * MINUTE).get("news_macro") for minutes in (-1, 0, 54, 60, 114, 116)}
    assert counts == {-1: None, 0: None, 54: None, 60: 1, 114: 1, 116: 0}


def test_headlines_older_than_an_hour_on_arrival_only_show_how_far_back_the_source_reaches() -> None:
    scene, world = following(Wire())
    rows = [NOW - 65 * MINUTE, NOW - 10 * MINUTE]
    world.flow._open_source().headlines = lambda since, until: [  # type: ignore[attr-defined]
        {"id": f"{at}", "created_at": f"{at}", "headline": "CPI rises", "tickers": []} for at in rows
    ]
    fetched(scene, world)
    assert news(scene, NOW) == {"news_macro": 1, "news_merger": 0}
    assert news(scene, NOW + 59 * MINUTE)["news_macro"] == 1
    assert news(scene, NOW + 61 * MINUTE) == {}, "a source that hasn't answered for an hour"
    # A time that is corrected later moves nothing: neither the count, nor when the headline became known.
    rows[1] = NOW - 5 * MINUTE
    world.flow._open_source().headlines = lambda since, until: [  # type: ignore[attr-defined]
        {"id": f"{NOW - 10 * MINUTE}", "created_at": f"{rows[1]}", "headline": "CPI rises", "tickers": []}
    ]
    scene.venue.now = NOW + 30 * MINUTE
    fetched(scene, world)
    assert news(scene, NOW + 59 * MINUTE)["news_macro"] == 1
    assert news(scene, NOW + 61 * MINUTE)["news_macro"] == 0


def test_each_request_begins_shortly_before_the_last_reply_and_at_most_an_hour_ago() -> None:
    wire = Wire()
    scene, world = following(wire)
    for minutes in (0, 20, 200):
        scene.venue.now = NOW + minutes * MINUTE
        fetched(scene, world)
    assert [(since // MINUTE, until // MINUTE) for since, until in wire.asked] == [(-60, 0), (-5, 20), (140, 200)]


@pytest.mark.parametrize("error", [OperatorError("its key is not set", "set it"), AllowanceSpentError("spent", "wait")])
def test_source_without_an_answer_fails_its_own_call_alone_and_leaves_news_absent(error: TradebotError) -> None:
    scene, world = following(Wire(error=error), "market_tide")
    result = fetched(scene, world)
    assert [intake.endpoint for intake in result.intakes] == ["market_tide"]
    (failure,) = result.failures
    assert (failure.endpoint, failure.lasting, failure.message) == ("news", False, one_line(error))
    assert news(scene, NOW) == {}


def test_calls_to_another_source_leave_the_flow_s_quota_as_stated() -> None:
    scene, world = following(Wire(), "market_tide")
    result = fetched(scene, world)
    assert [intake.endpoint for intake in result.intakes] == ["market_tide", "news"]
    assert result.quota is not None
    assert result.quota.used_today == 1


class Buyer(Reader):
    def propose(self, view: StrategyView) -> Sequence[Want]:
        return [Target("AAPL", quantity=Decimal(1))]


@pytest.mark.parametrize(("kinds", "reads_flow"), [(("news",), False), (("news", "iv_rank"), True)])
def test_entry_of_a_strategy_that_reads_only_such_news_does_not_depend_on_flow(
    kinds: tuple[str, ...], reads_flow: bool
) -> None:
    _, world = following(Wire())
    world = replace(world, strategies=[Buyer("flow", *kinds)])
    (candidate,) = propose(world, NOW).candidates
    assert candidate.reads_flow is reads_flow


def test_only_news_of_a_source_of_its_own_needs_no_alerts() -> None:
    rules = replace(Scene().world().rules, news_apart=True)
    assert list(needed_facts([Reader("one", "news")], rules)) == [headlines_kind()]
    both = [kind.name for kind in needed_facts([Reader("one", "news", "iv_rank")], rules)]
    assert sorted(both) == ["flow_alerts", "iv_rank", "news"]
    alone = needed_facts([Reader("one", "news")], replace(rules, news_apart=False))
    assert sorted(kind.name for kind in alone) == ["flow_alerts", "news"]


def test_headlines_are_fetched_as_often_as_their_own_source_allows_whatever_the_flow_s_limits() -> None:
    wire = Wire()
    scene, world = following(wire, allowance=Allowance(30, 25))
    rules = replace(world.rules, fetch_times="every 5m from open+2m until close", allowance=Allowance(1, 1))
    (line,) = headlines_plan(rules, world.venue.day).lines
    assert (line.interval_s, line.calls) == (1200, 20)
    for minutes in range(0, 45, 5):
        scene.venue.now = NOW + minutes * MINUTE
        fetched(scene, replace(world, rules=rules))
    assert [until // MINUTE for _, until in wire.asked] == [0, 20, 40]
