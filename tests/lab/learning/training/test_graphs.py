"""Networks that are written answer what their layers say, as ONNX Runtime runs them."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.adapters.models.onnx_format import require_closed
from tradebot.lab.learning.training.graphs import (
    Layer,
    RecurrentNetwork,
    build_recurrent_network,
    size_with_side,
    stack_layers,
)

SHOWN, HIDDEN, MADE = 7, 5, 3


def layer(chance: np.random.Generator, inputs: int, outputs: int) -> Layer:
    return Layer(
        chance.normal(size=(outputs, inputs)).astype(np.float32), chance.normal(size=outputs).astype(np.float32)
    )


def answered(graph: bytes, **given: np.ndarray) -> list[np.ndarray]:
    require_closed(graph)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: value[None].astype(np.float32) for name, value in given.items()}))


def of(layer: Layer, shown: np.ndarray) -> np.ndarray:
    return np.asarray(layer.weights @ shown + layer.bias)


@given(seed=st.integers(0, 10_000))
def test_stacked_layers_answer_what_they_add_up_to(seed: int) -> None:
    chance = np.random.default_rng(seed)
    layers, shown = [layer(chance, SHOWN, HIDDEN), layer(chance, HIDDEN, MADE)], chance.normal(size=SHOWN)
    (found,) = answered(stack_layers(layers, "Tanh"), observation=shown)
    assert found[0] == pytest.approx(of(layers[1], np.tanh(of(layers[0], shown))), abs=1e-5)
    (found,) = answered(stack_layers(layers, "Relu", "Tanh"), observation=shown)
    assert found[0] == pytest.approx(np.tanh(of(layers[1], np.maximum(of(layers[0], shown), 0))), abs=1e-5)


@given(seed=st.integers(0, 10_000))
def test_memory_goes_on_as_its_gates_say(seed: int) -> None:
    """The formulas are those of Hochreiter and Schmidhuber's memory with a forget gate, in PyTorch's order."""
    chance = np.random.default_rng(seed)
    memory = RecurrentNetwork(layer(chance, SHOWN, 4 * HIDDEN), layer(chance, HIDDEN, 4 * HIDDEN))
    layers, shown = [layer(chance, HIDDEN, MADE)], chance.normal(size=SHOWN)
    before, cell = chance.normal(size=HIDDEN), chance.normal(size=HIDDEN)
    action, after = answered(
        build_recurrent_network(memory, layers, "Tanh"), observation=shown, memory=np.concatenate([before, cell])
    )
    gates = np.split(of(memory.shown, shown) + of(memory.before, before), 4)
    enters, keeps, new, shows = (
        np.tanh(gate) if place == 2 else 1 / (1 + np.exp(-gate)) for place, gate in enumerate(gates)
    )
    kept = keeps * cell + enters * new
    made = shows * np.tanh(kept)
    assert after[0] == pytest.approx(np.concatenate([made, kept]), abs=1e-5)
    assert action[0] == pytest.approx(of(layers[0], made), abs=1e-4)


@pytest.mark.parametrize(("bias", "answer"), [(3.0, 0.5), (-3.0, -0.5), (0.0, 0.0)])
def test_sided_layer_answers_a_size_on_its_side(bias: float, answer: float) -> None:
    graph = size_with_side(Layer(np.zeros((1, SHOWN), dtype=np.float32), np.array([bias], dtype=np.float32)), 0.5)
    (found,) = answered(graph, observation=np.ones(SHOWN))
    assert found[0].tolist() == [answer]
