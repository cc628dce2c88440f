"""What a process remembers of the records it wrote changes nothing in them."""

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b

import pytest

from tests.kit.core.scene import Scene
from tradebot.desk.prepare_desk import desk_for_exits
from tradebot.model.desk import Desk
from tradebot.model.struct_tools import replace
from tradebot.replaying.record_writer import (
    PartCache,
    RecordParts,
    arguments_digest,
    digest_of,
    encode_steps,
    plain,
    step_for,
)


def test_text_is_named_by_its_content_in_each_record_and_after_everything_was_forgotten() -> None:
    remembered, settings, others = PartCache(), b"settings", b"others"
    for _ in range(2):
        for _ in range(2):
            parts = RecordParts(remembered)
            assert [parts.text(settings), parts.text(others), parts.text(bytes(bytearray(settings)))] == [0, 1, 0]
            assert list(parts.numbers) == [digest_of(settings), digest_of(others)]
            assert all(remembered.content[name] in (settings, others) for name in parts.numbers)
        remembered.forget()
        assert not remembered.content


@pytest.mark.parametrize(
    "asked",
    [(), ("AAPL", 1, 2.5, None, True), (datetime(2026, 11, 16, tzinfo=UTC), Decimal("1.50")), (("flow", "AAPL"), [1])],
)
def test_question_has_the_digest_of_what_it_was_about(asked: tuple[object, ...]) -> None:
    told = encode_steps([list(one) if isinstance(one, tuple) else one for one in asked])
    assert arguments_digest(asked) == blake2b(told, digest_size=8).digest()
    assert plain(asked) == [list(one) if isinstance(one, tuple) else one for one in asked]


def test_what_seldom_changes_stands_once_for_equal_content_and_numbers_keep_their_form() -> None:
    remembered = PartCache()
    desk = desk_for_exits(Scene().world())

    def parts_of(filled: dict[str, Decimal]) -> list[bytes]:
        parts = RecordParts(remembered)
        step_for(Desk)(replace(desk, books=replace(desk.books, filled=filled)), parts)
        return list(parts.numbers)

    first = parts_of({"a": Decimal("1.5")})
    assert parts_of({"a": Decimal("1.5")}) == first
    assert len({*parts_of({"a": Decimal("1.50")})} - {*first}) == 1
    assert parts_of({"a": Decimal("1.5")}) == first
