"""Run learned models in their confined process, with the same protocol as a plug-in.

ONNX Runtime runs each network with one thread. A network's input is `observation`, one row of numbers, and its output
is `action`. A network with memory also has the input `memory`, a row of zeros at a session's open, and the output
`next_memory`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any

import numpy as np
import onnxruntime

from tradebot.adapters.models.model_folder import parse_settings
from tradebot.learning.ensemble import outputs_of
from tradebot.learning.inference import Member, Numbers, Policy
from tradebot.learning.model_card import Card, Model
from tradebot.learning.policy_decisions import refusal
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.view import NOTHING, StrategyView, Want

OBSERVATION, ACTION, MEMORY, NEXT_MEMORY = "observation", "action", "memory", "next_memory"

NUMBERS = "tensor(float)"

LARGEST_MEMORY = 4096

TOLERANCE = 1e-5

"""How far a model's output for a stored observation may differ from the stored one."""

QUIET = 4

"""ONNX Runtime's log level: fatal errors only."""


def member_of(model: Model) -> Member | Decision:
    """Return a model ready to run, or the reason why its network doesn't match its card."""
    session = _open_session(model.graph)
    shapes = {tensor.name: _width(tensor) for tensor in (*session.get_inputs(), *session.get_outputs())}
    wanted, size = _shapes(model.card), shapes.get(MEMORY)
    if size is not None and model.card.recurrent:
        wanted |= {MEMORY: size, NEXT_MEMORY: size}
    if shapes != wanted or (size or 0) > LARGEST_MEMORY:
        widths = ", ".join(f"{name} {width}" for name, width in shapes.items())
        return refusal(Reason.MODEL_SHAPE_WRONG, f"{model.id}: it has {widths}")
    blank = (0.0,) * (size or 0)
    return Member(model.id, model.card, model.scaling, partial(_run, session, model.card.recurrent), blank)


def self_test(member: Member, model: Model) -> Decision | None:
    """Describe how a model's outputs for its stored observations differ from the stored outputs; return None if they
    match.
    """
    probe, worst = model.probe, 0.0
    memories = probe.memories or ((),) * len(probe.observations)
    for shown, memory, stored in zip(probe.observations, memories, probe.answers, strict=True):
        if len(memory) != len(member.blank) or len(stored) != outputs_of(model.card.action):
            return refusal(Reason.MODEL_SHAPE_WRONG, f"{model.id}: its stored outputs have another size")
        outputs, after = member.run(shown, memory)
        if not all(map(isfinite, (*outputs, *after))):
            return refusal(Reason.MODEL_NOT_FINITE, f"{model.id}: {outputs}")
        worst = max(worst, *(abs(output - other) for output, other in zip(outputs, stored, strict=True)))
    if worst > TOLERANCE:
        return refusal(Reason.MODEL_ANSWERS_DIFFER, f"{model.id}: by {worst:.3g}", TOLERANCE)
    return None


def _open_session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _shapes(card: Card) -> dict[str, int | None]:
    return {OBSERVATION: card.inputs, ACTION: outputs_of(card.action)}


def _width(of: onnxruntime.NodeArg) -> int | None:
    """Return how many numbers an input's or output's row has; None if it isn't one row of numbers."""
    if of.type != NUMBERS or len(of.shape) != 2 or not isinstance(of.shape[1], int) or of.shape[0] in (0, None):
        return None
    return of.shape[1] if of.shape[0] == 1 or isinstance(of.shape[0], str) else None


def _run(
    session: onnxruntime.InferenceSession, remembers: bool, shown: Numbers, memory: Numbers
) -> tuple[Sequence[float], Sequence[float]]:
    inputs = {OBSERVATION: np.array([shown], dtype=np.float32)}
    if not remembers:
        (outputs,) = session.run([ACTION], inputs)
        return tuple(map(float, outputs[0])), ()
    inputs[MEMORY] = np.array([memory], dtype=np.float32)
    outputs, after = session.run([ACTION, NEXT_MEMORY], inputs)
    return tuple(map(float, outputs[0])), tuple(map(float, after[0]))


class ModelsStrategy:
    """Runs models, after testing them on their stored observations."""

    name, times, needs = "models", "", NOTHING

    def __init__(self, settings: Mapping[str, Any]) -> None:
        models, acting = parse_settings(settings)
        problems = [_test_model(model) for model in models]
        self._failed = next((decision for decision in problems if isinstance(decision, Decision)), None)
        self._policy = Policy(acting, [member for member in problems if isinstance(member, Member)])

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return a target for each symbol, or why there is none. If the view has no symbols, only test the models."""
        if self._failed is not None:
            return self._failed
        return self._policy.targets(view) if view.universe else ()


def _test_model(model: Model) -> Member | Decision:
    member = member_of(model)
    return member if isinstance(member, Decision) else self_test(member, model) or member
