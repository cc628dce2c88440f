"""A network is looked through before anything runs it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.networks import deep, linear
from tradebot.adapters.models.onnx_format import (
    DEEPEST,
    GraphError,
    build_network,
    fields,
    node,
    number,
    part,
    require_closed,
    tensor,
)

SIZES = {"observation": 2}, {"action": 1}
LAYER = node("MatMul", ["observation", "weights"], "action")
WEIGHTS = tensor("weights", [[0.5], [0.25]])


def test_network_with_all_its_data_and_own_operators_is_fine() -> None:
    require_closed(build_network([LAYER], [WEIGHTS], *SIZES))
    require_closed(build_network([LAYER], [WEIGHTS], *SIZES, domains=("", "ai.onnx")))
    require_closed(deep(16, 10))


def branch(inner: bytes) -> bytes:
    """Return an operator with a branch, which is a network of its own."""
    return node("If", ["observation"], "action", attributes=part(5, part(1, "then_branch") + part(6, inner)))


def constant(value: bytes) -> bytes:
    return node("Constant", [], "action", attributes=part(5, part(1, "value") + value))


def nested(times: int) -> bytes:
    inner = part(1, LAYER)
    for _ in range(times):
        inner = part(1, branch(inner))
    return number(1, 8) + part(8, number(2, 17)) + part(7, inner)


ELSEWHERE = WEIGHTS + part(13, part(1, "location") + part(2, "/etc/passwd"))
PLACED = WEIGHTS + number(14, 1)
FOREIGN = node("Magic", ["observation"], "action", domain="com.example")


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (build_network([LAYER], [ELSEWHERE], *SIZES), "data in another file"),
        (build_network([LAYER], [PLACED], *SIZES), "data in another file"),
        (build_network([constant(part(5, ELSEWHERE))], [], *SIZES), "data in another file"),
        (build_network([constant(part(10, PLACED))], [], *SIZES), "data in another file"),
        (build_network([constant(part(22, part(1, ELSEWHERE)))], [], *SIZES), "data in another file"),
        (build_network([branch(part(5, ELSEWHERE))], [], *SIZES), "data in another file"),
        (build_network([LAYER], [], *SIZES) + part(7, part(15, part(2, PLACED))), "data in another file"),
        (build_network([FOREIGN], [], *SIZES), "operators of 'com.example'"),
        (build_network([LAYER], [WEIGHTS], *SIZES, domains=("", "com.microsoft")), "operators of 'com.microsoft'"),
        (build_network([branch(part(1, FOREIGN))], [], *SIZES), "operators of 'com.example'"),
        (build_network([LAYER], [WEIGHTS], *SIZES, more=part(25, part(1, "own"))), "defines its own"),
        (build_network([LAYER], [WEIGHTS], *SIZES, more=part(20, b"")), "instructions"),
        (nested(DEEPEST), "too deeply"),
        (b"", "isn't a network"),
        (number(1, 8), "isn't a network"),
        (build_network([LAYER], [WEIGHTS], *SIZES)[:-1], "is cut off"),
        (b"\x0b\x00", "can't be read"),
        (b"\xff" * 11, "can't be read"),
        (number(7, 3), "can't be read"),
    ],
)
def test_network_that_leads_outside_is_refused(graph: bytes, problem: str) -> None:
    with pytest.raises(GraphError, match=problem):
        require_closed(graph)


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_an_error(content: bytes) -> None:
    try:
        found = [*fields(memoryview(content))]
    except GraphError:
        return
    assert sum(1 if isinstance(one.value, int) else len(one.value) for one in found) <= len(content)


@given(st.integers(0, 2**12), st.data())
def test_network_cut_anywhere_is_refused(bias: int, data: st.DataObject) -> None:
    whole = linear([[0.5], [0.25]], [float(bias)])
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(GraphError):
        require_closed(whole[:end])
