"""A record from before something was renamed is read and decided as it was; nothing in it is read as a default."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from tests.kit.core.recorded import Taken, entries, lost_reply
from tests.kit.core.scene import Scene
from tests.replaying.test_cycle_comparison import exits
from tradebot.model.struct_tools import replace
from tradebot.replaying import former_names
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.former_names import FORMER, field_now, name_now
from tradebot.replaying.passes import CycleInputs, questions, read_record
from tradebot.replaying.record_json import record_from_json, record_to_json
from tradebot.replaying.record_reader import shapes_of
from tradebot.replaying.record_writer import RecordError, reply_hint, shapes

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
