"""The law of what is kept sees each stop and target that was canceled for nothing, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.faults.test_protection import asked_to_end, at, bought, line
from tests.kit.judge import kept

Line = dict[str, Any]


def named(role: str, told: Line) -> Line:
    """Return a line about an order that was sent for a role."""
    return {**told, "client_order_id": f"tb1.261117.OWN.AAPL.{role}.{told['order_id']}"}


def stop(minute: float, order: str = "stop", status: str = "new", **others: str) -> Line:
    event = "order_accepted" if status == "pending_new" else f"order_{status}"
    return named("PROTE", line(minute, event, order, status, stop_price="90", **others))


def target(minute: float, order: str = "target", status: str = "new", **others: str) -> Line:
    event = "order_accepted" if status == "pending_new" else f"order_{status}"
    return named("PROTE", line(minute, event, order, status, limit_price="110", **others))


def leaving(minute: float, **others: str) -> Line:
    return named("CLOSE", line(minute, "order_accepted", "exit", "pending_new", **others))


def sold(minute: float, left: str, order: str = "target") -> Line:
    return named("PROTE", line(minute, "fill", order, "filled", filled_qty="8", position=left))


def trouble(minute: float) -> Line:
    return {"at": at(minute).isoformat(), "event": "fault_fired", "account": "one", "on": "GET /v2/orders"}


HELD = [bought(0), stop(1), target(1)]
PAIR = [bought(0), target(1), stop(1, parent_id="target")]
MOVED = [target(4, status="replaced"), target(4, "moved", replaces="target")]
NO_STOP, NO_TARGET = asked_to_end(5, "stop"), asked_to_end(5, "target")


def broken(lines: Sequence[Line], disturbed: Sequence[float] = ()) -> list[str]:
    """Return what was canceled for nothing by a bot whose pass came five minutes after the fill."""
    problems = list(kept.broken(lines, "one", [at(minute) for minute in disturbed]))
    assert all(f"for nothing at {at(5):%d %H:%M:%S}" in problem for problem in problems)
    return [problem.split()[1] for problem in problems]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (HELD, []),
        ([*HELD, NO_STOP], ["stop"]),
        ([*HELD, NO_TARGET], ["target"]),
        ([*HELD, NO_STOP, stop(5, status="canceled"), line(9, "order_new", "OTHER")], ["stop"]),
        ([*PAIR, NO_TARGET], ["target", "stop"]),
        ([*PAIR, NO_STOP], ["target", "stop"]),
        ([*PAIR, *MOVED, asked_to_end(5, "moved")], ["stop"]),
        ([bought(0, "-8"), stop(1, side="buy"), NO_STOP], ["stop"]),
        ([bought(0, "8.5"), stop(1), stop(1, "other", qty="7"), NO_STOP], ["stop"]),
    ],
)
def test_what_rests_for_a_position_and_is_canceled_is_found(lines: list[Line], found: list[str]) -> None:
    assert broken(lines) == found


@pytest.mark.parametrize(
    "lines",
    [
        [*HELD, NO_STOP, stop(5, "new one", "pending_new")],
        [*HELD, stop(5, "new one"), NO_STOP],
        [*HELD, NO_TARGET, target(5, "new one", "pending_new")],
        [*PAIR, NO_TARGET, leaving(5)],
        [*HELD, leaving(5), NO_STOP, NO_TARGET],
        [*PAIR, *MOVED, asked_to_end(5, "moved"), leaving(5)],
        [*HELD, NO_STOP, target(5, "pair", "pending_new"), stop(5, "half", "held", parent_id="pair")],
    ],
)
def test_what_something_takes_the_place_of_in_its_pass_may_be_canceled(lines: list[Line]) -> None:
    assert broken(lines) == []


@pytest.mark.parametrize("later", [target(5, "new one", "pending_new"), stop(7, "new one", "pending_new")])
def test_a_target_and_a_later_pass_are_no_place_for_a_stop(later: Line) -> None:
    assert broken([*HELD, NO_STOP, later]) == ["stop"]
    assert broken([bought(0), target(1), NO_TARGET, stop(5, "new one", "pending_new")]) == ["target"]


@pytest.mark.parametrize(
    "lines",
    [
        [NO_STOP],
        [stop(1), NO_STOP],
        [*HELD, sold(4, "0"), NO_STOP],
        [bought(0, "-8"), stop(1), NO_STOP],
        [*HELD, stop(1, "other"), NO_STOP],
        [bought(0, "8.5"), stop(1), stop(1, "other"), NO_STOP],
        [*HELD, target(1, "other"), NO_TARGET],
        [bought(0), stop(1), target(1), sold(4, "1", "another"), NO_TARGET],
        [bought(0), stop(1, status="suspended"), NO_STOP],
        [*HELD, stop(4, status="canceled"), NO_STOP],
        [bought(0), named("OPEN", line(1, "order_new", "stop")), NO_STOP],
    ],
)
def test_what_protects_nothing_or_is_spare_or_cannot_act_may_be_canceled(lines: list[Line]) -> None:
    assert broken(lines) == []


def test_a_pass_that_met_trouble_is_left_out_and_no_other_one() -> None:
    assert broken([*HELD, trouble(5), NO_STOP]) == []
    assert broken([*HELD, NO_STOP], [5.5]) == []
    assert broken([*HELD, trouble(3), NO_STOP], [7]) == ["stop"]
    others = {**trouble(5), "account": "two"}
    assert broken([*HELD, others, NO_STOP]) == ["stop"], "that befell somebody else"
