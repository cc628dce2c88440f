"""A recorded pass is decided again as it was, and what changes a decision is told as the first difference.

A record from before something was renamed is read and decided as it was; nothing in it is read as a default.
"""

import gc
import zlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw, msgpack

from tests.kit.core.recorded import Taken, entries, evaluate_exits, leave_orders_unanswered, lost_reply
from tests.kit.core.scene import Scene, call
from tests.kit.values import there
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.replaying import former_names
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.former_names import FORMER, field_now, name_now
from tradebot.replaying.passes import CycleInputs, glance, questions, read_record
from tradebot.replaying.port_recording import RecordedPorts, UnrecordedCallError
from tradebot.replaying.record_json import record_from_json, record_to_json
from tradebot.replaying.record_reader import RecordSource, Shapes, shapes_of
from tradebot.replaying.record_writer import RecordError, reply_hint, shapes

FIRST_FORM = Path(__file__).with_name("first_form.record")
"""What `entries` left in a program that wrote the first form, with its parts."""


def exits(scene: Scene) -> list[Taken]:
    """Two positions: one is closed by its stop, while the venue doesn't say what became of that order."""
    first = entries(scene)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "book"))
    scene.later(60)
    scene.price("AAPL", "50")

    leave_orders_unanswered(scene)
    return [*first, evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "stop"))]


@pytest.mark.parametrize("passes", [entries, lost_reply, exits], ids=lambda one: one.__name__)
def test_passes_are_decided_again_as_they_were(passes: Callable[[Scene], list[Taken]]) -> None:
    taken = passes(Scene())
    assert sum(len(one.outcome.candidates) for one in taken) >= 3
    for one in taken:
        found = replay(one.record, one.rules)
        assert found.difference is None
        assert found.decisions == sum(len(candidate.decisions) for candidate in one.outcome.candidates)


def test_record_of_the_first_form_is_still_read_and_decided_as_it_was() -> None:
    body, parts = msgpack.decode(zlib.decompress(FIRST_FORM.read_bytes()))
    (taken,) = entries(Scene())
    assert (msgpack.decode(body)[0], msgpack.decode(taken.written.body)[0]) == (1, 2)
    then, now = (msgpack.decode(outcome) for outcome in (glance(body, parts).outcome, taken.record.outcome))
    later = ("quoted_at", "doubted", "differing", "clock_ahead_s")
    assert then == {name: value for name, value in now.items() if name not in later}
    recorded = read_record(body, parts, {})
    assert recorded.given == replace(taken.record.given, ask_declined=True)
    assert replay(recorded, taken.rules).difference is None


def test_what_a_pass_read_leaves_memory_by_itself() -> None:
    def left_behind() -> int:
        entries(Scene())
        return gc.collect()

    entries(Scene())
    # What other tests have made isn't looked through, which would take seconds.
    gc.freeze()
    try:
        # A ring is left by every pass; what another thread of the process happens to leave isn't.
        assert min(left_behind() for _ in range(4)) == 0, "a pass refers to itself and stays: 160 objects a pass"
    finally:
        gc.unfreeze()


def test_equal_passes_have_equal_bytes() -> None:
    first, second = (entries(Scene())[0].written for _ in range(2))
    assert (first.body, first.parts) == (second.body, second.parts)


def test_limit_that_refuses_now_is_told_with_gate_symbol_and_numbers() -> None:
    (taken,) = entries(Scene())
    tighter = replace(taken.rules, limits=taken.rules.limits.model_copy(update={"max_new_entries": 1}))
    said = there(replay(taken.record, tighter).difference)
    assert (said.symbol, said.strategy, said.gate, said.what) == ("MSFT", "flow", "new_entries", "limit")
    assert (said.recorded, said.replayed) == (str(taken.rules.limits.max_new_entries), "1")


def test_question_that_was_not_asked_then_is_the_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken,) = entries(Scene())
    body = msgpack.decode(taken.written.body)
    told, _ = body[7]
    del told[[one[0] for one in told].index("events.emit")]
    parts = [taken.written.contents[one] for one in taken.written.parts]
    record = read_record(msgpack.encode(body), parts, {})
    said = there(replay(record, taken.rules).difference)
    assert (said.what, said.replayed) == ("port calls of the pass", "events.emit")
    assert replay(record, taken.rules, only_decisions=True).difference is None


def test_a_tape_answers_nothing_that_it_does_not_know_and_sends_nothing() -> None:
    """The order port of a tape has replies, and no venue: an order that wasn't sent then has none."""
    scene = Scene()
    (taken,) = entries(scene)
    permission, tape = taken.record.given.permission, taken.record.tape()
    with pytest.raises(UnrecordedCallError, match=r"reader\.position"):
        tape.world(taken.rules, permission, sends=True, shadow=False).reader.position("AAPL")
    assert [one.name for one in tape.asked] == ["reader.position"]
    sent = len(scene.venue.submitted)
    replay(taken.record, taken.rules)
    assert len(scene.venue.submitted) == sent
    empty = RecordedPorts((), {}, tape.source).world(taken.rules, permission, sends=True, shadow=False)
    with pytest.raises(UnrecordedCallError, match=r"orders\.submit"):
        there(empty.orders).submit(scene.ledger.intents()[0].intent)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda body: b"\xc1", "can't be read"),
        (lambda body: msgpack.encode({}), "it isn't a pass"),
        (lambda body: msgpack.encode([3, *body[1:]]), "its format is 3, and this program reads formats 1 to 2"),
        (lambda body: msgpack.encode([*body[:6], [], *body[7:]]), "passes.CycleInputs: length"),
        (lambda body: msgpack.encode([*body[:7], [[["os.system", b""]], {}], body[8]]), "its port calls can't be read"),
        (lambda body: msgpack.encode([body[0], 10**6, *body[2:]]), "which fields its values have"),
    ],
)
def test_a_file_that_is_no_record_is_refused_with_the_reason(change: Callable[[list[object]], bytes], why: str) -> None:
    (taken,) = entries(Scene())
    parts = [taken.written.contents[one] for one in taken.written.parts]
    with pytest.raises(RecordError, match=why):
        read_record(change(msgpack.decode(taken.written.body)), parts, {}).tape()


@pytest.mark.parametrize("stored", ["1" * 65, "NaN", "Infinity", "1E+65", "1E-65", "a cent", 12.5, 12, b"1", ["1"]])
def test_number_that_is_no_exact_amount_is_refused_and_never_rounded(stored: object) -> None:
    source = RecordSource((), Shapes({}), {})
    assert source.read(Decimal, "1" * 64) == Decimal("1" * 64)
    with pytest.raises(RecordError):
        source.read(Decimal, stored)


def test_reply_that_can_not_be_read_matters_only_to_whoever_asks_for_it() -> None:
    (taken,) = entries(Scene())
    body = msgpack.decode(taken.written.body)
    first = body[7][0][0]
    first[3] = Raw(b"\xa1\xff")  # a text that is none
    parts = [taken.written.contents[one] for one in taken.written.parts]
    record = read_record(msgpack.encode(body), parts, {})
    assert record.tape().recorded[0].name == first[0]
    with pytest.raises(RecordError, match="can't be read"):
        replay(record, taken.rules)


BEFORE = Path(__file__).with_name("before_renames.record")
"""What `entries`, `exits` and `lost_reply` left before anything was renamed, and all methods of the ports by then."""
ADVICE = "renamed or gone since: add a row to FORMER in tradebot/replaying/former_names.py"
Record = tuple[bytes, Sequence[bytes]]


def records() -> tuple[list[Record], list[str]]:
    found, names = msgpack.decode(zlib.decompress(BEFORE.read_bytes()))
    return [(body, parts) for body, parts in found], names


def shapes_in(record: Record) -> Mapping[str, Sequence[str]]:
    body, parts = record
    found: Mapping[str, Sequence[str]] = msgpack.decode(parts[msgpack.decode(body)[1]])
    return found


def with_shapes(record: Record, change: Callable[[dict[str, Any]], object]) -> Record:
    body, parts = record
    shapes = dict(shapes_in(record))
    change(shapes)
    place = msgpack.decode(body)[1]
    return body, [msgpack.encode(shapes) if number == place else part for number, part in enumerate(parts)]


def is_decided_as_it_was(record: Record, taken: Taken) -> bool:
    shapes_of.cache_clear()
    recorded = read_record(*record, {})
    # Programs of that time asked gates about everything.
    given = replace(taken.record.given, ask_declined=True)
    return recorded.given == given and replay(recorded, taken.rules).difference is None


@pytest.mark.parametrize("place", range(3))
def test_record_from_before_is_read_and_decided_as_it_was(place: int) -> None:
    taken = (entries, exits, lost_reply)[place](Scene())[-1]
    record = records()[0][place]
    assert is_decided_as_it_was(record, taken)
    assert is_decided_as_it_was(record_from_json(record_to_json(*record)), taken)


def test_each_class_field_and_method_of_before_is_known_by_its_name_of_today() -> None:
    (first, *_), methods_then = records()
    known = questions()
    now = shapes(CycleInputs, *map(reply_hint, known))
    gone = [name for name in shapes_in(first) if name_now(name) not in now]
    for kind, names in shapes_in(first).items():
        fields = [field_now(name_now(kind), name) for name in names]
        gone += [f"{kind}.{name}" for name in fields if name and name not in now.get(name_now(kind), (name,))]
    gone += [name for name in methods_then if name_now(name) not in known]
    assert gone == [], ADVICE
    assert not FORMER.keys() & {*now, *known}, "a row would rename what is there today"


def test_renamed_class_module_field_and_method_are_read_by_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    record, taken = records()[0][0], entries(Scene())[-1]

    def rename(shapes: dict[str, Any]) -> None:
        shapes["wishes.Bid"] = ["ticker" if name == "symbol" else name for name in shapes.pop("candidate.Candidate")]
        shapes["passes.Given"] = ["mood" if name == "by_hand" else name for name in shapes["passes.Given"]]

    told = msgpack.decode(record[0])
    for reply in told[7][0]:
        reply[0] = reply[0].replace("ledger.promise", "ledger.pledge")
    renamed = with_shapes((msgpack.encode(told), record[1]), rename)
    with pytest.raises(RecordError):
        is_decided_as_it_was(renamed, taken)
    rows = {
        "wishes.Bid": "candidate.Candidate",
        "candidate.Candidate.ticker": "symbol",
        "ledger.pledge": "ledger.record_intent",
    }
    monkeypatch.setattr(former_names, "FORMER", {**FORMER, **rows, "passes.CycleInputs.mood": ""})
    assert is_decided_as_it_was(renamed, taken)


def test_field_that_may_have_been_renamed_is_never_read_as_its_default() -> None:
    record, taken = records()[0][0], entries(Scene())[-1]

    def rename(shapes: dict[str, Any]) -> None:
        shapes["passes.Given"] = ["symbols" if name == "universe" else name for name in shapes["passes.Given"]]

    with pytest.raises(
        RecordError,
        match=r"passes.CycleInputs has symbols, which this program doesn't know, and lacks ask_declined, universe",
    ):
        is_decided_as_it_was(with_shapes(record, rename), taken)
