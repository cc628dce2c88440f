"""A network runs as its card says, and answers its stored observations as it did where it was made."""

from dataclasses import dataclass

import pytest

from tests.kit.fakes.networks import card, constant, deep, linear, probe, remembering, scaling
from tradebot.adapters.models.model_folder import ModelParts
from tradebot.adapters.models.model_worker import TOLERANCE, member_of, self_test
from tradebot.adapters.models.onnx_format import build_network, node, tensor
from tradebot.learning.inference import Member
from tradebot.learning.model_card import Action, Model
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

INPUTS = card().inputs


def model(parts: ModelParts) -> Model:
    return Model("0" * 16, *parts)


def opened(parts: ModelParts) -> Member:
    found = member_of(model(parts))
    assert isinstance(found, Member), found
    return found


def why(parts: ModelParts) -> Reason | None:
    """Return the reason for which a model isn't used; None if it is."""
    found = member_of(model(parts))
    test = found if isinstance(found, Decision) else self_test(found, model(parts))
    return test.reason if test else None


def test_network_answers_what_its_weights_make_of_an_observation() -> None:
    graph = linear([[0.5]] + [[0.0]] * (INPUTS - 2) + [[-0.25]], [0.125], squashed=False)
    outputs, after = opened(constant([0.0])._replace(graph=graph)).run([1.0] + [0.0] * (INPUTS - 2) + [2.0], ())
    assert (outputs, after) == ((0.125,), ())


def test_network_with_a_memory_gets_back_what_it_remembered() -> None:
    found = opened(remembering(0.25))
    assert found.blank == (0.0,)
    outputs, after = found.run([0.0] * INPUTS, found.blank)
    assert found.run([0.0] * INPUTS, after)[0] == (2 * outputs[0],)


@pytest.mark.parametrize(
    "parts", [constant([0.75]), constant([0.0, 1.0, 0.0, 0.0, 2.0], action=Action.DISCRETE), remembering()]
)
def test_model_that_answers_as_stored_passes_its_test(parts: ModelParts) -> None:
    assert why(parts) is None


@pytest.mark.parametrize(("off", "reason"), [(0.5, None), (2.0, Reason.MODEL_ANSWERS_DIFFER)])
def test_answers_may_be_off_by_a_hundred_thousandth(off: float, reason: Reason | None) -> None:
    parts = constant([0.5])
    stored = replace(parts.probe, answers=(*parts.probe.answers[1:], (0.5 + off * TOLERANCE,)))
    assert why(parts._replace(probe=stored)) is reason


def dividing() -> bytes:
    """Return a network that divides zero by zero."""
    nodes = [node("MatMul", ["observation", "nothing"], "zero"), node("Div", ["zero", "zero"], "action")]
    return build_network(nodes, [tensor("nothing", [[0.0]] * INPUTS)], {"observation": INPUTS}, {"action": 1})


def test_answer_that_is_no_number_fails_the_test() -> None:
    assert why(constant([0.0])._replace(graph=dividing())) is Reason.MODEL_NOT_FINITE


@dataclass
class Wrong:
    """A model whose network isn't what its card says."""

    parts: ModelParts
    what: str


WRONG = [
    Wrong(constant([0.0])._replace(graph=deep(8, INPUTS + 1)), "one input more"),
    Wrong(constant([0.0])._replace(graph=linear([[0.0] * 5] * INPUTS, [0.0] * 5)), "five answers instead of one"),
    Wrong(constant([0.0], action=Action.DISCRETE), "one answer instead of five"),
    Wrong(remembering()._replace(card=card()), "a memory that the card doesn't have"),
    Wrong(constant([0.0])._replace(card=card(recurrent=True), probe=probe(INPUTS, memories=1)), "no memory"),
    Wrong(remembering()._replace(probe=probe(INPUTS, (0.25,), memories=2)), "a memory of another size"),
    Wrong(constant([0.0])._replace(probe=probe(INPUTS, (0.0, 0.0))), "stored answers of another size"),
    Wrong(
        constant([0.0])._replace(
            graph=build_network([node("Tanh", ["given"], "action")], [], {"given": INPUTS}, {"action": INPUTS})
        ),
        "another name",
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=[one.what for one in WRONG])
def test_network_of_another_shape_is_refused(wrong: Wrong) -> None:
    assert why(wrong.parts) is Reason.MODEL_SHAPE_WRONG


def test_scaling_is_not_the_business_of_the_network() -> None:
    assert opened(constant([0.75])).scaling == scaling()
