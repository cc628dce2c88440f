"""Addresses of channels: where they are read, and what of them no text shows."""

from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.keys import load_addresses

NAMES = ("phone", "desk", "none")


def test_secret_pieces_of_an_address_are_hidden_and_hosts_are_not() -> None:
    address = "https://ann:passw0rd-of-ann@hooks.example.com:8443/services/B0123456789?token=abcd1234efgh"
    found = load_addresses({"NOTIFY_PHONE": address, "NOTIFY_DESK": "tgram://123456789:AAexampleToken/42"}, None, NAMES)
    assert found == {"phone": address, "desk": "tgram://123456789:AAexampleToken/42"}
    assert hide_keys(f"{address} B0123456789 abcd1234efgh passw0rd-of-ann AAexampleToken") == " ".join(["[hidden]"] * 5)
    assert hide_keys("http://127.0.0.1:1 hooks.example.com") == "http://127.0.0.1:1 hooks.example.com"
