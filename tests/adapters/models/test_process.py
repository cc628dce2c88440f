"""Models answer from a confined process, or there is one reason why they don't."""

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.kit.fakes.networks import Signed, constant, results
from tests.kit.values import SESSION
from tests.learning.test_inference import view
from tradebot.adapters.models import process
from tradebot.adapters.models.files import read_model
from tradebot.adapters.models.model_folder import ModelParts, worker_settings
from tradebot.adapters.models.onnx_format import node, number, part
from tradebot.adapters.models.process import ModelLocation, ModelProcess, good_models, read_results
from tradebot.adapters.plugins.plugin import PluginEnvironment
from tradebot.adapters.plugins.process import NoValidReplyError
from tradebot.adapters.plugins.protocol import AnswerBounds
from tradebot.learning.ensemble import Combine, PolicyMode
from tradebot.learning.inference import ModelSelection
from tradebot.learning.model_card import SessionResult
from tradebot.learning.policy_decisions import refusal
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

SURROUNDINGS = PluginEnvironment(AnswerBounds(20.0, 2**31), {"PATH": os.environ["PATH"]}, ())


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


@contextmanager
def running(
    signed: Signed, *models: str, mode: PolicyMode = PolicyMode.INFERENCE, **place: object
) -> Iterator[ModelProcess]:
    usual: dict[str, object] = {"answer_ms": 10_000, "noted": signed.folder / "models.json"}
    where = ModelLocation(signed.folder, signed.public, models, **{**usual, **place})  # type: ignore[arg-type]
    with closing(ModelProcess(where, ModelSelection(mode, Combine.WEIGHTED, 20, {}), SURROUNDINGS, "policy")) as found:
        yield found


def quantities(found: object) -> list[object]:
    assert not isinstance(found, Decision), found
    return [one.quantity for one in found]  # type: ignore[attr-defined]


def failing() -> ModelParts:
    """Return a model that answers otherwise than it stored."""
    parts = constant([0.5])
    return parts._replace(probe=replace(parts.probe, answers=((0.51,), *parts.probe.answers[1:])))


def test_models_answer_and_their_later_results_count_from_the_next_session_on(signed: Signed) -> None:
    first, second = (signed.write(constant([x], results=results(r))) for x, r in ((1.0, 0.01), (-0.5, -0.01)))
    file = signed.folder / "results.json"
    file.write_text("{}")
    tomorrow = replace(SESSION, date=SESSION.date + timedelta(days=1))
    with running(signed, first, second, mode=PolicyMode.META, results=file) as found:
        assert quantities(found.answer(view())) == [2]
        file.write_text(json.dumps({first: {str(SESSION.date): -0.5}, second: {str(SESSION.date): 0.5}}))
        assert quantities(found.answer(view())) == [2], "not in the same session"
        # Five sessions have to lie between two choices.
        days = [SESSION.date - timedelta(days=each) for each in range(6)]
        earned = {first: {str(day): -0.5 for day in days}, second: {str(day): 0.5 for day in days}}
        file.write_text(json.dumps(earned))
        assert quantities(found.answer(view(session=tomorrow))) == [-1]
    assert good_models(signed.folder / "models.json") == {"policy": (first, second)}


def test_process_goes_on_between_passes_because_its_code_is_the_bots_own(signed: Signed) -> None:
    with running(signed, signed.write(constant([0.75]))) as models:
        assert quantities(models.answer(view())) == [2]
        before = models._process
        assert not models.runs_other_code()
        models.end_if_changed()
        assert models._process is before is not None


def test_model_that_fails_its_test_is_replaced_by_the_last_good_one_which_says_so(signed: Signed) -> None:
    good, bad = signed.write(constant([0.75])), signed.write(failing())
    noted = signed.folder / "models.json"
    noted.write_text(json.dumps({"policy": [good]}))
    with running(signed, bad, noted=noted) as found:
        answer = found.answer(view())
        assert quantities(answer) == [2]
        told = answer[0].decisions[0]  # type: ignore[index]
        assert (told.reason, told.passed, told.limit) == (Reason.MODEL_REPLACED, True, good)
        assert bad in str(told.observed)
    assert good_models(noted) == {"policy": (good,)}
    (signed.folder / good / "card.json").write_text("{}")
    with running(signed, bad, noted=noted) as found:
        answer = found.answer(view())
        assert isinstance(answer, Decision)
        assert answer.reason is Reason.MODEL_ANSWERS_DIFFER


def test_model_that_was_changed_is_replaced_by_nobody(signed: Signed) -> None:
    good, bad = signed.write(constant([0.75])), signed.write(constant([0.5]))
    (signed.folder / "models.json").write_text(json.dumps({"policy": [good]}))
    file = signed.folder / bad / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with running(signed, bad) as found:
        for _ in range(2):
            answer = found.answer(view())
            assert isinstance(answer, Decision)
            assert answer.reason is Reason.MODEL_CHANGED
        file.write_bytes(whole)
        found.begin_pass()
        assert quantities(found.answer(view())) == [1], "the next pass reads it again"


def endless(inputs: int) -> bytes:
    """Return a network that counts to a number that it never reaches."""
    body = part(1, node("Add", ["kept", "one"], "kept_out")) + part(1, node("Identity", ["going"], "going_out"))
    body += part(2, "body")
    for field, name, kind in (
        (11, "turn", 7),
        (11, "going", 9),
        (11, "kept", 1),
        (12, "going_out", 9),
        (12, "kept_out", 1),
    ):
        size = b"" if kind != 1 else b"".join(part(1, number(1, each)) for each in (1, 1))
        body += part(field, part(1, name) + part(2, part(1, number(1, kind) + part(2, size))))
    turns = number(2, 7) + part(8, "turns") + part(9, (2**62).to_bytes(8, "little"))
    going = number(2, 9) + part(8, "always") + part(9, b"\x01")
    one = b"".join(number(1, each) for each in (1, 1)) + number(2, 1) + part(8, "one") + part(9, b"\x00\x00\x80\x3f")
    nothing = (
        b"".join(number(1, each) for each in (inputs, 1))
        + number(2, 1)
        + part(8, "nothing")
        + part(9, bytes(4 * inputs))
    )
    loop = node(
        "Loop",
        ["turns", "always", "zero"],
        "action",
        attributes=part(5, part(1, "body") + part(6, body) + number(20, 5)),
    )
    nodes = part(1, node("MatMul", ["observation", "nothing"], "zero")) + part(1, loop)
    graph = nodes + part(2, "network") + b"".join(part(5, each) for each in (turns, going, one, nothing))
    for field, name, width in ((11, "observation", inputs), (12, "action", 1)):
        size = b"".join(part(1, number(1, each)) for each in (1, width))
        graph += part(field, part(1, name) + part(2, part(1, number(1, 1) + part(2, size))))
    return number(1, 8) + part(8, number(2, 17)) + part(7, graph)


@pytest.mark.campaign
def test_network_that_never_answers_is_ended_by_its_time_and_replaced_by_nobody(signed: Signed) -> None:
    parts, good = constant([0.0]), signed.write(constant([0.75]))
    (signed.folder / "models.json").write_text(json.dumps({"policy": [good]}))
    name = signed.write(parts._replace(graph=endless(parts.card.inputs)))
    with running(signed, name) as found:
        found._start = replace(found._start, bounds=AnswerBounds(3.0, 2**31))
        answer = found.answer(view())
        assert isinstance(answer, Decision)
        assert answer.reason is Reason.MODEL_SLOW


@dataclass
class Asked:
    """Stands for a running process, and counts what it was asked."""

    answer: object
    limits: list[float | None]

    def wants(self, seen: object, timeout_s: float | None = None) -> object:
        self.limits.append(timeout_s)
        if isinstance(self.answer, NoValidReplyError):
            raise self.answer
        return self.answer

    def end(self) -> None:
        """End nothing."""


@pytest.mark.parametrize(
    ("befell", "reason", "limit"),
    [(Reason.STRATEGY_TIMEOUT, Reason.MODEL_SLOW, 80), (Reason.STRATEGY_FAILED, Reason.MODEL_FAILED, None)],
)
def test_what_befalls_the_process_is_told_in_words_for_models(
    signed: Signed, befell: Reason, reason: Reason, limit: int | None
) -> None:
    with running(signed, "0" * 16, answer_ms=80) as found:
        erred = NoValidReplyError(replace(refusal(befell, "it ended"), about=""))
        found._process = asked = Asked(erred, [])  # type: ignore[assignment]
        answer = found.answer(view())
        assert isinstance(answer, Decision)
        assert (answer.reason, answer.limit) == (reason, limit)
        assert asked.limits == [0.08]
        assert found._process is None, "it is ended"
        assert found.answer(view()) == answer, "and sits out the pass"


def test_models_that_are_not_there_are_a_reason_and_no_error(signed: Signed) -> None:
    with running(signed, "0" * 16) as found:
        answer = found.answer(view())
        assert isinstance(answer, Decision)
        assert answer.reason is Reason.MODEL_ABSENT
        assert found.models() == answer


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"2026-11-16": -1}}', '{"a": {"soon": 0.1}}', "{"])
def test_results_that_can_not_be_read_are_a_reason(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(NoValidReplyError) as erred:
        read_results(file)
    assert erred.value.decision.reason is Reason.MODEL_UNREADABLE


def test_results_are_read_by_model_and_session(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"a": {"2026-11-16": 0.25}}')
    assert read_results(file) == {"a": (SessionResult(date(2026, 11, 16), 0.25),)}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"policy": 3}'])
def test_note_that_can_not_be_read_names_no_good_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.json").write_text(text)
    assert good_models(tmp_path / "models.json") == {}
    assert good_models(tmp_path / "nowhere") == {}


def test_process_that_is_watched_never_reads_models_and_the_bot_loads_no_runtime(signed: Signed) -> None:
    model = read_model(signed.folder, signed.write(constant([0.75])), signed.public)
    found = worker_settings([model], ModelSelection(PolicyMode.INFERENCE, Combine.WEIGHTED, 20, {}))
    assert {type(each) for _, files in found["models"] for each in files.values()} == {bytes}
    assert isinstance(found["acting"], str)
    assert not hasattr(process, "onnxruntime")
