"""Remove personal details from texts before they are shared.

Besides keys, account numbers are removed from a text, as well as order ids that contain them, hosts, addresses,
people's names and home paths. This bot's own details are recognized by their values, and all others by their form.
Equal details are always replaced by the same text.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import Any

from tradebot.adapters.text.redaction import HIDDEN, SHORTEST, forms, hide_keys

ACCOUNT, NOWHERE = "ACCOUNT-HIDDEN", "hidden.invalid"

"""Replacements for an account number and a host that still look like a number and a host."""

PUBLIC = frozenset({
    "localhost", "api.alpaca.markets", "paper-api.alpaca.markets", "data.alpaca.markets", "api.unusualwhales.com",
    "futures.kraken.com", "demo-futures.kraken.com",
})  # fmt: skip

"""Hosts that aren't private."""

SHORTEST_NAME = 3

SECRET = r"(?:secret|passw(?:or)?d|token|api[-_ ]?key|authorization|credential)"

NAMED = re.compile(rf"(?i)\b[\w-]*{SECRET}[\w-]*$")

ID = re.compile(r"\b(tb1\.\d{6}\.[\w./-]{1,40}\.)([A-Z2-7]{16})\b")

LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"

URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://([^\s\"'<>]*)")

BY_FORM: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[\w.+%-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE), "[email]"),
    (
        re.compile(
            rf"(?i)\b((?:{LABEL}\.)+(?:com|net|org|io|local|lan|internal|intranet|home|corp|amazonaws))\b(?![.(])"
        ),
        "",
    ),
    (re.compile(r"\b(?!127\.)\d{1,3}(?:\.\d{1,3}){3}\b"), NOWHERE),
    (re.compile(r"(?i)\b(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b"), NOWHERE),
    (re.compile(r"(?i)\b(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}\b"), NOWHERE),
    (re.compile(r"/(?:home|Users)/[^\s/\"':,;)\]]+"), "/home/someone"),
    (re.compile(r"(?i)\b[a-z]:\\+Users\\+[^\s\\\"':,;)]+"), "/home/someone"),
    (re.compile(r"/root\b"), "/home/someone"),
    # Actors are written as verb, person and process: "unhalt ann/5115".
    (re.compile(r"(?:^|(?<=[a-z] ))(?!\d)[\w.-]{1,32}/(\d{1,7})(?![\w/.-])"), r"someone/\1"),
    (re.compile(r"\bPA[A-Z0-9]{8,12}\b"), ACCOUNT),
    (re.compile(r"\b(?:PK|AK|CK)[A-Z0-9]{14,}\b|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), HIDDEN),
    (re.compile(r"\b\d{6,12}:[\w-]{30,}"), HIDDEN),
    (re.compile(rf"(?i)([\w-]*{SECRET}[\w-]*[\"']?\s*[=:]\s*[\"']?)(?!\[hidden\])[^\s\"',;]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]{8,}"), HIDDEN),
)


class IdentityRedactor:
    """Replaces private details in texts and in JSON values.

    `ids` maps order ids to their replacements; any other id is replaced by a digest with a secret `salt`. `names` has
    this machine's host and user names. `words` has names that programs use; they aren't replaced even if they are in
    `names`.
    """

    def __init__(
        self,
        account: str,
        folder: str,
        names: Mapping[str, str],
        *,
        ids: Mapping[str, str],
        salt: str,
        words: Collection[str] = (),
        secrets: Collection[str] = (),
    ) -> None:
        self._ids, self._salt = ids, salt
        self._tail = account[-4:]
        replaced = [(form, ACCOUNT) for form in forms(account)] if len(account) >= SHORTEST_NAME else []
        replaced += [(form, HIDDEN) for secret in secrets if len(secret) >= SHORTEST for form in forms(secret)]
        replaced += [(f"…{self._tail}", "…HIDE"), (folder, "STATE")]
        self._known = sorted(((text, by) for text, by in replaced if text.strip("/.")), key=lambda form: -len(form[0]))
        chosen = {name: by for name, by in names.items() if len(name) >= SHORTEST_NAME and name not in words}
        self._names = _whole_words(chosen) if chosen else None
        self._by = {name.lower(): by for name, by in chosen.items()}
        self._done = dict[str, str]()

    def text(self, text: str) -> str:
        """Return a text without private details; results are cached, because most of a record's texts repeat."""
        if text not in self._done:
            self._done[text] = self.once(text)
        return self._done[text]

    def once(self, text: str) -> str:
        """Return a text without private details; the result isn't cached, because not all ids may be known yet."""
        if text == self._tail:
            return "HIDE"
        text = ID.sub(self._id, hide_keys(text))
        for secret, by in self._known:
            if secret in text:
                text = text.replace(secret, by)
        text = URL.sub(_url, text)
        for form, by in BY_FORM:
            text = form.sub(by or _host, text)
        return self._names.sub(lambda match: self._by[match[0].lower()], text) if self._names else text

    def tree(self, value: Any, *, named: bool = True) -> Any:
        """Return a JSON value without private details.

        If `named` is set, the object's keys are field names, and a text under a key such as `token` is always hidden.
        In a record, keys may be symbols or strategies instead.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item, named=named) for item in value]
        if isinstance(value, dict):
            return dict(self._items(value, named))
        return value

    def _items(self, value: Mapping[str, Any], named: bool) -> Iterator[tuple[str, Any]]:
        for name, item in value.items():
            hidden = named and NAMED.search(name) and isinstance(item, str) and item
            yield self.text(name), HIDDEN if hidden else self.tree(item, named=named)

    def _id(self, match: re.Match[str]) -> str:
        replacement = self._ids.get(match[0])
        return replacement or match[1] + _letters(f"{self._salt}\n{match[2]}")


def _letters(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16].upper().translate(str.maketrans("0189", "GHIJ"))


def _whole_words(names: Collection[str]) -> re.Pattern[str]:
    longest = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?i)(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])")


def host_of(address: str) -> str:
    """Return the host of an address without a scheme."""
    return re.split(r"[/?#:]", address.rpartition("@")[2], maxsplit=1)[0].lower()


def _url(match: re.Match[str]) -> str:
    host = host_of(match[2])
    if host.startswith("127.") or host in PUBLIC:
        return f"{match[1]}://{match[2].rpartition('@')[2].partition('?')[0]}"
    return f"{match[1]}://{NOWHERE}"


def _host(match: re.Match[str]) -> str:
    return match[0] if match[0].lower() in PUBLIC else NOWHERE
