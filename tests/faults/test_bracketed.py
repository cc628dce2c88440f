"""Entries with their stops, and rolls: killed at each step of an order's road, and troubled by the Gateway."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest

from commands.reconcile import run as reconcile
from exchange.tests.kit.cable import lay_cable
from papervenue.faces.tws import faults
from papervenue.faces.tws.wire import TwsMessage
from papervenue.faults.armed_rules import RuleFiring
from tests.faults import bracketed
from tests.faults.bracketed import CONTROLS, PASSES, PIT_LIES, Kill, caught, killed_at_each, troubled, verb_of
from tests.faults.failpoints import AT_IBKR
from tests.kit.bot.futures import FuturesDay, Pit
from tests.kit.bot.near import KILLED, compares
from tests.suite.tiers import drawn
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.finding import FindingKind
from tradebot.model.intent import ID_PREFIX

SEEDS = drawn("brackets", [], range(1, 100_000), 15)
LIED_TO = next(iter(drawn("lies at a gateway", [1], range(1, 100_000), 1)))
EVERY_HOW_MANY = 8
"""Of the points that no order passes, one in so many is where a pass of the campaign is killed."""
SHARE_BEFALLEN, SHARE_LIED_TO = 0.5, 0.9


@pytest.fixture(scope="module")
def pit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pit]:
    with pytest.MonkeyPatch.context() as patch:
        yield Pit(tmp_path_factory.mktemp("pit"), lay_cable(patch.setattr))


@pytest.fixture(scope="module")
def traded(pit: Pit) -> Pit:
    pit.trades()
    return pit


def test_entry_killed_between_its_two_messages_leaves_nothing_at_work_and_one_without_a_stop_is_caught(
    pit: Pit,
) -> None:
    hit, problems = killed_at_each(pit, "enters", lambda point, number: point == "ibkr.send_stop.before")
    assert (hit, problems) == (Counter({"ibkr.send_stop.before": 1}), [])
    found = caught(bracketed.works_alone, lambda: troubled(pit, "enters", ())[1])
    assert any("worked with a stop of None" in problem for problem in found)


@pytest.mark.campaign
def test_pass_killed_at_each_step_of_an_orders_road_ends_what_it_began_once(
    traded: Pit, record_property: Callable[[str, object], None]
) -> None:
    hit, problems = Counter[str](), list[str]()
    for place, name in enumerate(PASSES):

        def wanted(point: str, number: int, place: int = place) -> bool:
            return point.startswith("ibkr.") or number % EVERY_HOW_MANY == place

        found, broken = killed_at_each(traded, name, wanted)
        hit += found
        problems += broken
    assert problems == []
    assert {f"{name}.{side}" for name in AT_IBKR for side in ("before", "after")} <= set(hit)
    record_property("kills at failpoints of a bot of futures", hit.total())


@pytest.mark.campaign
def test_an_entry_that_the_venue_makes_twice_keeps_a_stop_for_all_that_is_held_and_is_told(traded: Pit) -> None:
    twice = {"when": {"request": "submit"}, "what": "delivered_twice"}
    fired, problems = troubled(traded, "enters", [twice])
    assert fired == {"delivered_twice"}
    assert any("made 2 orders" in problem for problem in problems)
    assert not [problem for problem in problems if "had no stop" in problem or "lost" in problem]
    day = traded.day(PASSES["enters"].begins)
    day.arm([{"name": "twin", **twice}])
    day.run(verb_of(day, PASSES["enters"]))
    day.tick(seconds=61)
    assert day.run(compares) == ExitCode.FINDINGS


@pytest.mark.campaign(share=20)
@pytest.mark.parametrize("row", ["missing", "unread"])
def test_a_stop_that_is_listed_without_its_entry_is_told_as_ours(
    traded: Pit, row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, one = traded.day("flat"), PASSES["enters"]
    spared = Kill()
    day.run(verb_of(day, one), spared)
    day = traded.day("flat")
    day.arm([{"name": "halted", "what": "halt_symbol"}])
    assert day.run(verb_of(day, one), Kill(spared.reached.index("ibkr.send_stop.after") + 1)) == KILLED
    day.arm(
        [{"name": "entry", "when": {"request": "orders"}, "what": {"missing_rows": None, "client_order_id": "tb1.*"}}]
    )
    if row == "unread":
        monkeypatch.setattr(faults, "_change_message", without_ids)
    told = listed(day)
    assert FindingKind.UNRESOLVED in told
    assert (FindingKind.UNREADABLE in told) is (row == "unread")
    assert FindingKind.FOREIGN_ORDER not in told
    day.calm()
    assert listed(day) == []


def without_ids(message: TwsMessage, firing: RuleFiring) -> Iterator[TwsMessage]:
    """Leave the permId out of rows of entries, in place of the rows."""
    fields = dict(message.fields)
    ours = str(fields.get("orderRef", "")).startswith(ID_PREFIX)
    yield TwsMessage(message.number, fields | {"permId": ""}) if ours else message


def listed(day: FuturesDay) -> list[FindingKind]:
    """Compare books and broker, and return which kinds of findings there are."""
    found = list[FindingKind]()

    def verb(app: App) -> int:
        report = reconcile.run(app, by="campaign")
        found.extend(kind for kind in FindingKind for row in report.data.findings if kind.value == row.kind)
        return int(report.exit_code)

    day.run(verb)
    return found


def judge_passes(passes: Mapping[object, tuple[set[str], list[str]]]) -> tuple[int, list[str]]:
    """Return to how many passes something happened, and which laws they broke."""
    problems = [f"{drawn_by}: {problem}" for drawn_by, (_, broken) in passes.items() for problem in broken]
    return sum(bool(fired) for fired, _ in passes.values()), problems


@pytest.mark.campaign
def test_pass_that_a_gateway_troubles_breaks_no_law(
    traded: Pit, record_property: Callable[[str, object], None]
) -> None:
    troubled, problems = judge_passes({seed: bracketed.drawn(traded, seed) for seed in SEEDS})
    assert problems == []
    assert troubled >= SHARE_BEFALLEN * len(SEEDS)
    record_property("passes of a bot of futures that a gateway troubled", troubled)


@pytest.mark.campaign
def test_pass_that_is_lied_to_by_a_gateway_breaks_no_law(
    traded: Pit, record_property: Callable[[str, object], None]
) -> None:
    lies, problems = judge_passes({lie: bracketed.lied_to(traded, LIED_TO, lie) for lie in PIT_LIES})
    assert problems == []
    assert lies >= SHARE_LIED_TO * len(PIT_LIES)
    record_property("lies that a bot of futures was told", lies)


@pytest.mark.campaign(share=40)
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.__name__)
def test_bot_that_is_broken_on_purpose_is_caught(traded: Pit, control: Callable[[], None]) -> None:
    name, troubles, words = CONTROLS[control]
    fired, problems = troubled(traded, name, troubles)
    assert (bool(fired), problems) == (bool(troubles), [])
    assert any(words in problem for problem in caught(control, lambda: troubled(traded, name, troubles)[1]))
