"""Write a trained network in ONNX format, using standard operators that every runtime supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tradebot.adapters.models.onnx_format import build_network, integer, integers, node, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

OBSERVATION, ACTION, MEMORY, NEXT = "observation", "action", "memory", "next_memory"
GATES = ("input", "forget", "cell", "output")
"""The gates of an LSTM, in the order of PyTorch's weights."""


class Layer(NamedTuple):
    """The parameters of a layer: `weights` has a row for each output, and `bias` has a number for each output."""

    weights: Numbers
    bias: Numbers


class RecurrentNetwork(NamedTuple):
    """A network with long short-term memory (LSTM)."""

    shown: Layer
    before: Layer


class _Drawing:
    """The operators and numbers of a network while it is built."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []

    def does(self, kind: str, inputs: Sequence[str], output: str, attributes: bytes = b"") -> str:
        self.nodes.append(node(kind, inputs, output, attributes=attributes))
        return output

    def layer(self, read: str, of: Layer, name: str) -> str:
        self.tensors.append(tensor(f"{name}_weights", of.weights.T.tolist()))
        self.tensors.append(tensor(f"{name}_bias", [of.bias.tolist()]))
        self.does("MatMul", [read, f"{name}_weights"], f"{name}_product")
        return self.does("Add", [f"{name}_product", f"{name}_bias"], f"{name}_sum")

    def layers(self, read: str, of: Sequence[Layer], between: str, last: str) -> None:
        """Add layers, each followed by an operator; the last layer gives the output."""
        for index, each in enumerate(of):
            output = self.layer(read, each, f"layer{index}")
            final = index == len(of) - 1
            read = self.does(last if final else between, [output], ACTION if final else f"hidden{index}")

    def cut(self, read: str, first: int, end: int, name: str) -> str:
        """Add a slice of a row of numbers."""
        for word, value in (("first", first), ("end", end), ("axis", 1)):
            self.tensors.append(integers(f"{name}_{word}", [value]))
        return self.does("Slice", [read, *(f"{name}_{word}" for word in ("first", "end", "axis"))], name)


def stack_layers(of: Sequence[Layer], between: str, last: str = "Identity") -> bytes:
    """Build a network of these layers one after another, with the operator `between` them and the operator `last` at
    the end.
    """
    drawing = _Drawing()
    drawing.layers(OBSERVATION, of, between, last)
    inputs, outputs = {OBSERVATION: of[0].weights.shape[1]}, {ACTION: len(of[-1].bias)}
    return build_network(drawing.nodes, drawing.tensors, inputs, outputs)


def size_with_side(of: Layer, size: float) -> bytes:
    """Build a network whose output has a fixed size, and the sign of a layer's output."""
    drawing = _Drawing()
    drawing.tensors.append(tensor("size", [[size]]))
    drawing.does("Mul", [drawing.does("Sign", [drawing.layer(OBSERVATION, of, "layer0")], "side"), "size"], ACTION)
    return build_network(drawing.nodes, drawing.tensors, {OBSERVATION: of.weights.shape[1]}, {ACTION: 1})


def build_recurrent_network(memory: RecurrentNetwork, of: Sequence[Layer], between: str) -> bytes:
    """Build a network with an LSTM in front of its layers.

    Its memory is one row of numbers: the hidden state, and then the cell state.
    """
    drawing, many = _Drawing(), memory.before.weights.shape[1]
    hidden = drawing.cut(MEMORY, 0, many, "before")
    cell = drawing.cut(MEMORY, many, 2 * many, "cell_before")
    gates: dict[str, str] = {}
    for index, gate in enumerate(GATES):
        rows = slice(index * many, (index + 1) * many)
        parts = [
            drawing.layer(read, Layer(each.weights[rows], each.bias[rows]), f"{gate}_{name}")
            for read, each, name in ((OBSERVATION, memory.shown, "shown"), (hidden, memory.before, "before"))
        ]
        drawing.does("Add", parts, f"{gate}_both")
        gates[gate] = drawing.does("Tanh" if gate == "cell" else "Sigmoid", [f"{gate}_both"], gate)
    drawing.does("Mul", [gates["forget"], cell], "kept")
    drawing.does("Mul", [gates["input"], gates["cell"]], "new")
    drawing.does("Add", ["kept", "new"], "cell_after")
    drawing.does("Tanh", ["cell_after"], "shown_cell")
    after = drawing.does("Mul", [gates["output"], "shown_cell"], "after")
    drawing.does("Concat", [after, "cell_after"], NEXT, integer("axis", 1))
    drawing.layers(after, of, between, "Identity")
    inputs = {OBSERVATION: memory.shown.weights.shape[1], MEMORY: 2 * many}
    return build_network(drawing.nodes, drawing.tensors, inputs, {ACTION: len(of[-1].bias), NEXT: 2 * many})
