"""Small networks in ONNX's format, and signed models made of them."""

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from tradebot.adapters.models.files import write_model
from tradebot.adapters.models.model_folder import ModelParts
from tradebot.adapters.models.onnx_format import build_network, node, tensor
from tradebot.adapters.models.signing import make_key, read_key
from tradebot.learning.model_card import PROBES, Action, Card, DataSpan, FeatureUsed, Probe, Scaling, SessionResult
from tradebot.signals.features import OBSERVED, features


def linear(weights: Sequence[Sequence[float]], bias: Sequence[float], *, squashed: bool = True) -> bytes:
    """Return a network of one layer: tanh of the observation times weights, plus a bias; or all that without tanh."""
    nodes = [node("MatMul", ["observation", "weights"], "product"), node("Add", ["product", "bias"], "sum")]
    nodes.append(node("Tanh" if squashed else "Identity", ["sum"], "action"))
    tensors = [tensor("weights", weights), tensor("bias", [bias])]
    return build_network(nodes, tensors, {"observation": len(weights)}, {"action": len(bias)})


def deep(width: int, inputs: int, seed: int = 3) -> bytes:
    """Return a network with two hidden layers of a width, as those that are trained have, with made-up weights."""
    sizes, read, nodes, tensors = [inputs, width, width, 1], "observation", list[bytes](), list[bytes]()
    for place, (before, after) in enumerate(pairwise(sizes), 1):
        last = place == len(sizes) - 1
        rows = [[((7 * i + 13 * j + seed) % 17 - 8) / 8 / before**0.5 for j in range(after)] for i in range(before)]
        tensors.append(tensor(f"weights{place}", rows))
        nodes.append(node("MatMul", [read, f"weights{place}"], f"product{place}"))
        read = "action" if last else f"hidden{place}"
        nodes.append(node("Tanh" if last else "Relu", [f"product{place}"], read))
    return build_network(nodes, tensors, {"observation": inputs}, {"action": 1})


def counting(inputs: int, step: float) -> bytes:
    """Return a network that answers how often it was asked since it remembers anything, times a step."""
    nodes = [
        node("MatMul", ["observation", "nothing"], "zero"),
        node("Add", ["memory", "zero"], "was"),
        node("Add", ["was", "step"], "next_memory"),
        node("Identity", ["next_memory"], "action"),
    ]
    tensors = [tensor("nothing", [[0.0]] * inputs), tensor("step", [[step]])]
    return build_network(nodes, tensors, {"observation": inputs, "memory": 1}, {"action": 1, "next_memory": 1})


NAMES = tuple(name for name, one in features().items() if one.number <= OBSERVED)
MADE_AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def card(names: Sequence[str] = ("rsi_14",), **changes: object) -> Card:
    """Return the card of a model of these features."""
    usual: dict[str, object] = {
        "format": 1,
        "name": "mes-ppo",
        "agent": "PPO",
        "action": Action.CONTINUOUS,
        "recurrent": False,
        "timeframe": "5Min",
        "features": tuple(FeatureUsed(name, features()[name].version) for name in names),
        "data": (DataSpan("MES 5Min", date(2025, 1, 2), date(2026, 9, 30), "0" * 64),),
        "settings": {"learning_rate": "0.0003"},
        "seeds": (1, 2, 3, 4, 5),
        "trials": 45,
        "results": results(),
        "program": "0.1.0",
        "created_at": MADE_AT,
    }
    return Card(**{**usual, **changes})  # type: ignore[arg-type]


def results(*earned: float, last: date = date(2026, 10, 30)) -> tuple[SessionResult, ...]:
    """Return results of consecutive days, of which the last is given; 20 of them unless they are."""
    values = earned or tuple(0.001 * (-1) ** place for place in range(20))
    first = last - timedelta(days=len(values) - 1)
    return tuple(SessionResult(first + timedelta(days=place), each) for place, each in enumerate(values))


def probe(inputs: int, outputs: Sequence[float] | None = None, memories: int = 0) -> Probe:
    """Return stored observations of zeros but for one number each, with answers that are the same for all."""
    shown = tuple(tuple(float(place == each % inputs) for place in range(inputs)) for each in range(PROBES))
    remembered = ((0.0,) * memories,) * PROBES if memories else ()
    return Probe(shown, (tuple(outputs or (0.0,)),) * PROBES, remembered)


def constant(answer: Sequence[float], names: Sequence[str] = ("rsi_14",), **changes: object) -> ModelParts:
    """Return a model that answers the same to everything."""
    made = card(names, **changes)
    graph = linear([[0.0] * len(answer)] * made.inputs, answer, squashed=False)
    return ModelParts(made, scaling(names), probe(made.inputs, tuple(_single(each) for each in answer)), graph)


def scaling(names: Sequence[str] = ("rsi_14",)) -> Scaling:
    return Scaling((0.0,) * len(names), (1.0,) * len(names))


def remembering(step: float = 0.25) -> ModelParts:
    """Return a model that answers by how often it was asked in a session."""
    made = card(recurrent=True)
    return ModelParts(made, scaling(), probe(made.inputs, (_single(step),), memories=1), counting(made.inputs, step))


def _single(value: float) -> float:
    """Return a number as a network stores it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


class Signed:
    """A folder of models, and the key that they are signed with."""

    def __init__(self, place: Path) -> None:
        self.folder, self.key = place / "models", place / "private"
        self.public = make_key(self.key)

    def write(self, parts: ModelParts) -> str:
        return write_model(self.folder, parts, read_key(self.key))

    def settings(self, *models: str, **changes: object) -> dict[str, object]:
        """Return the settings of a policy in which these models act."""
        return {"folder": str(self.folder), "public_key": self.public, "models": list(models), **changes}
