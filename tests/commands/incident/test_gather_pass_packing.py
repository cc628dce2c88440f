"""A record is packed with nothing private in any text that its types can hold, and is decided as it was."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple, cast, get_args

import pytest
from msgspec import msgpack

from commands.incident.gather import EQUAL, hidden_id, pack_pass, redact_record
from commands.shared.verb_options import jsonable
from tests.kit.core.recorded import AROUND, Taken, entries, evaluate_exits, lost_reply
from tests.kit.core.scene import Scene, call
from tests.kit.values import ACCOUNT, DAY, NOW
from tests.suite.tiers import sized
from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses
from tradebot.adapters.text.codec import encode
from tradebot.adapters.text.handed_over import IdentityRedactor
from tradebot.model.event import SystemEvent
from tradebot.model.intent import Intent, IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.model.record import CycleRecord, Job
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.passes import SCHEMA, CycleInputs, _shapes, bytes_of, decide_again, questions, read_record
from tradebot.replaying.port_recording import OrderedReplies, RecordedPorts
from tradebot.replaying.record_json import OUTCOME, TOLD, record_from_json, record_to_json
from tradebot.replaying.record_writer import (
    GIVEN,
    NEVER,
    PartCache,
    RecordError,
    RecordParts,
    encode_steps,
    hints_of,
    is_mapping,
    is_named_tuple,
    is_struct,
    is_union,
    is_word,
    items_of,
    name_of,
    reply_hint,
    step_for,
    without_none,
)

HOST, USER, FOLDER = "canary-machine-7", "canaryuser", "/srv/canary-bots/state"
PRIVATE = {
    "a key": "PK" + "CANARY7Q4WZ8X2M5T1",
    "a password": "password=canary-pass",
    "the account": ACCOUNT,
    "the host": HOST,
    "a home path": "/home/" + "canary/bot/.env",
    "the folder": FOLDER,
    "the user": USER,
}
CANARY = " | ".join(PRIVATE.values())


def _replies() -> Iterator[tuple[str, Any]]:
    """Yield what a pass can ask, with the type of the reply; no pass asks a port for what no record can have."""
    for name in questions():
        with suppress(TypeError):
            step_for(reply_hint(name))
            yield name, reply_hint(name)


REPLIES = dict(_replies())
ONE = KeptPass("trade-once.1", DAY, NOW, "1.0")


def redactor(intents: Sequence[Intent]) -> IdentityRedactor:
    ids = dict[str, str]()
    found = IdentityRedactor(ACCOUNT, FOLDER, {HOST: "host", USER: "someone"}, ids=ids, salt="s")
    ids.update((one.client_order_id, hidden_id(one.key, found.once)) for one in intents)
    return found


def private_in(text: str) -> list[str]:
    found = [what for what, one in PRIVATE.items() if json.dumps(one)[1:-1] in text]
    return found + (["some canary"] if "canary" in text.lower() else [])


class Texts:
    """Makes a value of any type that a record has, with canaries in every text; `places` are the fields they are in."""

    def __init__(self) -> None:
        self.places, self.number, self._within = set[str](), 0, list[Any]()

    def of(self, hint: Any, place: str = "") -> Any:
        hint = without_none(hint)
        if is_union(hint):
            hint = str if str in get_args(hint) else without_none(get_args(hint)[0])
        if hint is str:
            self.places.add(place)
            self.number += 1
            return f"{self.number} {CANARY}"
        if hint in PLAIN:
            return PLAIN[hint]
        if hint in (*GIVEN, *NEVER):
            return None
        if is_word(hint):
            return next(iter(hint))
        if is_struct(hint) or is_named_tuple(hint):
            return self._made(hint)
        if is_mapping(hint):
            key, item = get_args(hint)
            return {self.of(key, place): self.of(item, place)}
        if many := items_of(hint):
            return many[0]([self.of(many[1], place)])
        return tuple([self.of(one, place) for one in get_args(hint)])

    def _made(self, kind: Any) -> Any:
        if kind in self._within:
            return None
        self._within.append(kind)
        made = kind(**{name: self.of(hint, f"{name_of(kind)}.{name}") for name, hint in hints_of(kind).items()})
        self._within.pop()
        return made


PLAIN: Mapping[Any, Any] = {
    int: 1, float: 1.0, bool: True, bytes: b"", Decimal: Decimal(1), datetime: NOW, date: DAY, time: time(9, 30),
    timedelta: timedelta(1), NoneType: None,
}  # fmt: skip


def places_in(*hints: Any) -> Iterator[str]:
    """Yield each field of the types below these that can hold a text."""
    seen, left = set[Any](), [(hint, "") for hint in hints]
    while left:
        hint, place = left.pop()
        hint = without_none(hint)
        if hint is str:
            yield place
        if is_struct(hint) or is_named_tuple(hint):
            if hint not in seen:
                seen.add(hint)
                left += [(one, f"{name_of(hint)}.{name}") for name, one in hints_of(hint).items()]
        else:
            left += [(one, place) for one in get_args(hint) if one is not ... and not isinstance(one, list)]


def test_no_text_that_a_record_can_hold_keeps_anything_private() -> None:
    texts, parts = Texts(), RecordParts(PartCache())
    told = [[name, b"", [texts.of(str)], step_for(hint)(texts.of(hint), parts)] for name, hint in REPLIES.items()]
    told.append(["ledger.order", b"", [], None, "TemporaryError", texts.of(str), texts.of(str)])
    settings = json.dumps({"any": CANARY, CANARY: [CANARY, {"own_token": "plain-canary"}]}).encode()
    head = [SCHEMA, parts.text(_shapes()), parts.text(settings), parts.text(settings), [texts.of(str)], texts.of(str)]
    given = step_for(CycleInputs)(texts.of(CycleInputs), parts)
    body = encode_steps([*head, given, [told, {"ledger.account_number": ACCOUNT}], bytes_of(texts.of(CycleRecord))])
    assert texts.places - {""} == set(places_in(CycleInputs, CycleRecord, *REPLIES.values())) - {""}
    assert len(texts.places) > 150
    contents = [parts.remembered.content[one] for one in parts.numbers]
    before = json.dumps(record_to_json(body, contents), ensure_ascii=False)
    assert before.count(HOST) >= texts.number, "each of them was in the record"
    tree = redact_record(record_to_json(body, contents), redactor([]))
    assert private_in(json.dumps(tree, ensure_ascii=False)) == []
    read_record(*record_from_json(json.loads(json.dumps(tree))), {})


def stopped(scene: Scene) -> list[Taken]:
    """A position is closed by its stop."""
    first = entries(scene)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "book"))
    scene.later(60)
    scene.price("AAPL", "50")
    return [*first, evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "stop"))]


def test_nothing_else_that_is_packed_keeps_anything_private() -> None:
    for kind in (SystemEvent, CycleRecord, IntentRecord, Order, OwnedFill):
        texts = Texts()
        for tree in (encode(texts.of(kind)), jsonable(texts.of(kind))):
            assert json.dumps(tree, ensure_ascii=False).count(HOST) >= len(texts.places) > 0
            assert private_in(json.dumps(redactor([]).tree(tree), ensure_ascii=False)) == [], kind


def test_symbol_that_is_named_like_a_secret_keeps_its_number_in_a_record_and_a_secret_in_settings_goes() -> None:
    tree = {"body": [{"PF_TOKENUSD": "1.5"}], "outcome": {}, "parts": [{"text": '{"my_token":"1.5"}'}]}
    found = redact_record(tree, redactor([]))
    assert (found["body"], found["parts"]) == (tree["body"], [{"text": '{"my_token":"[hidden]"}'}])


class Kept:
    """The records of passes, as far as packing asks for them: one."""

    def __init__(self, body: bytes, parts: list[bytes]) -> None:
        self._record = body, parts

    def record(self, name: str) -> tuple[bytes, list[bytes]]:
        return self._record


class Anew(OrderedReplies):
    """A tape that keeps what it is asked in the form of a tape, and the orders that the pass makes up."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.told, self.intents = list[list[Any]](), list[Intent]()

    def answer(self, name: str, asked: tuple[Any, ...]) -> Any:
        """Answer as the parent does, and keep the orders that are asked about."""
        self.intents += [one for one in asked if isinstance(one, Intent)]
        return super().answer(name, asked)

    def reply(self, name: str, digest: bytes) -> list[Any] | None:
        """Return the next reply, as its parent does; a write that wasn't asked then is done."""
        found = super().reply(name, digest)
        self.told.append(
            [name, digest, *(found[2:] if found else ([], True if name == "ledger.record_intent" else None))]
        )
        return found


def planted(hint: Any, value: Any, at: str, place: str = "") -> Any:
    """Return a value with canaries behind the texts of one field."""
    hint = without_none(hint)
    if value is None or hint in PLAIN or hint in (*GIVEN, *NEVER) or is_word(hint):
        return value
    if is_union(hint) or hint is str:
        return f"{value} {CANARY}" if place == at and type(value) is str else value
    if is_struct(hint) or is_named_tuple(hint):
        fields = {
            name: planted(one, getattr(value, name), at, f"{name_of(hint)}.{name}")
            for name, one in hints_of(hint).items()
        }
        return type(value)(**fields)
    if is_mapping(hint):
        key, item = get_args(hint)
        return {planted(key, name, at, place): planted(item, one, at, place) for name, one in value.items()}
    if many := items_of(hint):
        return many[0]([planted(many[1], one, at, place) for one in value])
    return tuple([planted(one, each, at, place) for one, each in zip(get_args(hint), value, strict=True)])


class Canaries(NamedTuple):
    """The record of a pass that read canaries in one field, and the orders that it made up."""

    body: bytes
    parts: list[bytes]
    intents: list[Intent]


def with_canaries(taken: Taken, at: str) -> Canaries | None:
    """Let the pass decide with canaries in one field of all that it was given and told; None if it has no text."""
    found, recorded, parts = msgpack.decode(taken.written.body), taken.record, RecordParts(PartCache())
    source = recorded.tape().source

    def reply(name: str, written: Any) -> Any:
        hint = reply_hint(name)
        return step_for(hint)(planted(hint, source.read(hint, written), at), parts)

    told, constants = found[TOLD]
    head = [SCHEMA, *(parts.text(one) for one in (_shapes(), AROUND.settings, AROUND.accepted)), *found[4:6]]
    given = step_for(CycleInputs)(planted(CycleInputs, recorded.given, at), parts)
    tape = [[*one[:3], reply(one[0], one[3])] if len(one) == 4 else one for one in told]
    body = [*head, given, [tape, {name: reply(name, one) for name, one in constants.items()}], found[OUTCOME]]
    contents = [parts.remembered.content[one] for one in parts.numbers]
    if not any(HOST.encode() in one for one in (encode_steps(body), *contents)):
        return None
    read = read_record(encode_steps(body), contents, {}, Anew)
    anew = cast(Anew, read.tape())
    body[OUTCOME] = bytes_of(decide_again(read, taken.rules, anew))
    body[TOLD][0] = anew.told
    return Canaries(encode_steps(body), contents, anew.intents)


PASSES: list[Callable[[Scene], list[Taken]]] = [entries, lost_reply, stopped]


@pytest.mark.sampled
@pytest.mark.parametrize("passes", PASSES, ids=lambda one: one.__name__)
def test_pass_that_read_something_private_in_any_field_is_packed_without_it_and_decided_as_it_was(
    passes: Callable[[Scene], list[Taken]],
) -> None:
    taken, planted_in, in_order = passes(Scene())[-1], list[str](), set[str]()
    places = sorted(set(places_in(CycleInputs, *REPLIES.values())) - {""})
    for at in sized(places[PASSES.index(passes) :: 4], places):
        found = with_canaries(taken, at)
        if found is None:
            continue
        kept = cast(KeptPasses, Kept(found.body, found.parts))
        how, why, record = pack_pass(kept, ONE, lambda recorded: taken.rules, redactor(found.intents))
        assert (how, why) == (EQUAL, ""), at
        assert private_in(json.dumps(record, ensure_ascii=False)) == [], at
        kind = OrderedReplies if record["in_order"] else RecordedPorts
        again = read_record(*record_from_json(json.loads(json.dumps(record["record"]))), {}, kind)
        assert replay(again, taken.rules, only_decisions=record["in_order"]).difference is None, at
        planted_in.append(at)
        in_order |= {at} if record["in_order"] else set()
    assert len(planted_in) > sized(4, 30)
    assert not in_order, "every question was asked anew"


def test_people_and_addresses_are_hidden_by_their_form() -> None:
    found = IdentityRedactor(ACCOUNT, FOLDER, {}, ids={}, salt="s")
    said = "halted by unhalt ann.lee/5115 from fe80::1 or 10.1.2.3 at 10:30 for AAPL 3/4"
    assert found.text(said) == (
        "halted by unhalt someone/5115 from hidden.invalid or hidden.invalid at 10:30 for AAPL 3/4"
    )


@pytest.mark.parametrize("tree", [{}, {"body": 1, "outcome": 1, "parts": [{}]}, [], {"body": [], "parts": 3}])
def test_what_is_no_record_is_told_without_the_words_of_the_program(tree: object) -> None:
    with pytest.raises(RecordError, match=r"^it isn't a pass record$"):
        record_from_json(tree)
