"""Messages are framed, whatever pieces they come in; and whatever a client sends, the exchange goes on."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tests.kit.tws import Client, TwsExchange, framed, order
from papervenue.faces.tws.face import REQUESTS
from papervenue.faces.tws.wire import Frames, TwsMessage, WireError
from papervenue.faces.tws.wire import frame as written

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def values(fields: dict[str, object]) -> list[str]:
    return TwsMessage(5, fields).payload().decode().split("\0")[:-1]


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=6), max_size=6), st.lists(st.integers(0, 200), max_size=8))
def test_messages_are_read_as_they_were_sent_in_whatever_pieces(sent: list[list[str]], cuts: list[int]) -> None:
    data = b"API\0" + b"".join(framed("".join(f"{field}\0" for field in fields)) for fields in sent)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    frames, begin, read = Frames(), 0, list[list[str]]()
    for end in ends:
        read += frames.read(data[begin:end])
        begin = end
    assert read == sent


@given(TEXTS, st.integers(-(10**12), 10**12), st.decimals(-(10**9), 10**9, places=5), st.booleans())
def test_each_field_is_text_that_ends_with_a_zero(text: str, number: int, price: Decimal, flag: bool) -> None:
    decoded = values({"a": text, "b": number, "c": price, "d": flag, "e": None, "f": [{"g": 1}, {"g": text}]})
    assert (decoded[0], decoded[1], int(decoded[2]), Decimal(decoded[3])) == ("5", text, number, price)
    assert decoded[4:] == ["1" if flag else "0", "", "1", text]
    assert written(b"x") == b"\0\0\0\1x"


def test_no_message_is_longer_than_a_client_may_send() -> None:
    with pytest.raises(WireError):
        list(Frames().read(b"API\0" + (2**20).to_bytes(4, "big")))


def test_client_that_starts_again_under_another_id_keeps_the_one_that_it_has(desk: TwsExchange, client: Client) -> None:
    assert [one[3] for one in client.say(71, 2, 7, "") if one[0] == "4"] == ["501"]
    client.close()
    assert desk.client().next_id == 1
    assert desk.client(7).next_id == 1


@given(
    st.sampled_from(sorted(REQUESTS)),
    st.lists(st.sampled_from(["", "0", "1", "-1", "x", "1e9", "NaN", "ESZ6", "FUT", "CME", "9" * 30]), max_size=44),
)
def test_whatever_a_client_sends_is_answered_or_ends_its_connection(
    shared_desk: TwsExchange, number: int, fields: list[str]
) -> None:
    client = shared_desk.client()
    client.say(number, *fields)
    client.close()
    again = shared_desk.client()
    assert again.next_id >= 1
    again.close()


def test_ten_thousand_messages_that_nobody_knows_change_nothing(desk: TwsExchange, client: Client) -> None:
    before = desk.exchange.log.count
    client.conversation.receive(framed("9999\0x\0") * 10_000)
    assert len(client.line.take_messages()) == 10_000
    assert desk.exchange.log.count == before
    assert [one[0] for one in client.say(*order(1))][-1] == "3"
