"""Host, port, client id and mode have to belong together."""

import pytest

from tradebot.errors import OperatorError
from tradebot.model.trading import Mode
from tradebot.venues.ibkr.link import IbkrVenue, link_to, place_of


def test_each_mode_has_its_port_and_a_bot_its_client_id() -> None:
    assert place_of(Mode.PAPER, {}, None) == ("127.0.0.1", 4002, 9002)
    assert place_of(Mode.LIVE, {}, None) == ("127.0.0.1", 4001, 9002)
    own = {"ibkr_host": "localhost", "ibkr_port": "7497", "ibkr_client_id": "9102"}
    assert place_of(Mode.PAPER, own, None) == ("localhost", 7497, 9102)
    assert place_of(Mode.SANDBOX, {}, ("127.0.0.1", 5)) == ("127.0.0.1", 5, 9002)


@pytest.mark.parametrize(
    ("mode", "given", "words"),
    [
        (Mode.PAPER, {"ibkr_port": "4001"}, "4001 is for live"),
        (Mode.LIVE, {"ibkr_port": "4002"}, "4002 is for paper"),
        (Mode.PAPER, {"ibkr_port": "70000"}, "IBKR_PORT is not a number"),
        (Mode.PAPER, {"ibkr_client_id": "0"}, "IBKR_CLIENT_ID is not a number"),
        (Mode.PAPER, {"ibkr_client_id": "x"}, "IBKR_CLIENT_ID is not a number"),
        (Mode.PAPER, {"ibkr_host": "gateway.example.com"}, "not encrypted"),
        (Mode.SANDBOX, {}, "doesn't play"),
    ],
)
def test_what_does_not_fit_is_refused(mode: Mode, given: dict[str, str], words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        place_of(mode, given, None)


@pytest.mark.parametrize(("mode", "number", "fits"), [
    (Mode.PAPER, "DU1", True), (Mode.PAPER, "U1", False), (Mode.LIVE, "U1", True), (Mode.LIVE, "DU1", False),
    (Mode.SANDBOX, "SBX1", True),
])  # fmt: skip
def test_an_account_of_another_kind_than_the_mode_is_refused(mode: Mode, number: str, fits: bool) -> None:
    venue = IbkrVenue(mode, link_to("127.0.0.1", 1, 1))
    if fits:
        venue.check_account(number)
    else:
        with pytest.raises(OperatorError, match="does not fit this Gateway"):
            venue.check_account(number)


def test_a_process_has_one_connection_with_a_client_id() -> None:
    assert link_to("127.0.0.1", 1, 1) is link_to("127.0.0.1", 1, 1)
    assert link_to("127.0.0.1", 1, 2) is not link_to("127.0.0.1", 1, 1)
