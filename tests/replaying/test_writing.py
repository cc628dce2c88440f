"""What a process remembers of the records it wrote changes nothing in them."""

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b

import pytest

from tradebot.replaying.writing import Parts, Remembered, asked_digest, digest_of, plain, written


def test_text_is_named_by_its_content_in_each_record_and_after_everything_was_forgotten() -> None:
    remembered, settings, others = Remembered(), b"settings", b"others"
    for _ in range(2):
        for _ in range(2):
            parts = Parts(remembered)
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
    told = written([list(one) if isinstance(one, tuple) else one for one in asked])
    assert asked_digest(asked) == blake2b(told, digest_size=8).digest()
    assert plain(asked) == [list(one) if isinstance(one, tuple) else one for one in asked]
