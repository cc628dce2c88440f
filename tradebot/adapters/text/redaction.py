"""Remove keys from texts, and private details before texts are handed to somebody else.

Every key that this process was given is removed, in each form it may be written in. Our own code never writes a key
anywhere. This guards against others: a proxy that echoes the headers it was sent, a plug-in that reads the key file, an
exception that quotes its argument. `halt` uses this module, so it imports nothing heavy until there is a key to hide.

A text to hand over also loses account numbers, order ids made of them, hosts, addresses, people and home paths: those
of this bot by their value, others by their form. The same text always gets the same replacement.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import Any

HIDDEN = "[hidden]"

SHORTEST = 8

"""The shortest text treated as a key. No service uses shorter keys, and removing short words would garble texts."""

SECRET_WORDS = ("KEY", "SECRET", "TOKEN", "PASS", "NOTIFY_", "PING")

"""What the names of variables have in them whose values nobody may read."""

_forms: dict[str, bytes] = {}

"""Every form of every key that this process was given, as text and as bytes."""


def learn(*keys: str | None) -> None:
    """Remember keys for as long as the process lives, and disable core dumps."""
    new = [form for key in keys if key and len(key) >= SHORTEST and key not in _forms for form in forms(key)]
    if new:
        _forms.update((form, form.encode()) for form in new)
        _dump_nothing()


def without_keys(text: str, environ: Mapping[str, str], file: str = ".env") -> str:
    """Return a typed text without the keys of this environment and of an .env file, for whatever service.

    A line of the file that can't be read is skipped: this must never hold up a halt.
    """
    pairs = list(environ.items())
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            pairs += [(name, value.strip().strip("\"'")) for name, _, value in (line.partition("=") for line in lines)]
    except OSError:
        pass
    # Most texts have no key in them, and then nothing has to be learned.
    learn(*(value for name, value in pairs if _is_secret(name) and len(value) >= SHORTEST and value in text))
    return hide(text)


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in SECRET_WORDS)


def hide(text: str) -> str:
    """Return the text with every key hidden."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def hide_in(body: bytes) -> bytes:
    """Return the bytes with every key hidden."""
    for form in _forms.values():
        if form in body:
            body = body.replace(form, HIDDEN.encode())
    return body


def forms(key: str) -> list[str]:
    """Return the ways a key may be written: plain, in JSON, in a URL, in hexadecimal, or anywhere in base64."""
    import json
    import re
    from urllib.parse import quote

    raw = key.encode()
    plain = [key, json.dumps(key)[1:-1], key.replace("/", "\\/")]
    quoted = [quote(key, safe=""), quote(key)]
    quoted += [re.sub("%..", lambda found: found[0].lower(), form) for form in quoted]
    hexadecimal = [raw.hex(), raw.hex().upper()]
    return list(dict.fromkeys([*plain, *quoted, *hexadecimal, *_in_base64(raw)]))


def _in_base64(raw: bytes) -> list[str]:
    """Return the base64 forms of bytes at each of the three offsets within a group where they may begin.

    The first and the last character may also depend on neighboring bytes, so they are left out.
    """
    from base64 import b64encode, urlsafe_b64encode

    fragments = []
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        for encode in (b64encode, urlsafe_b64encode):
            encoded = encode(b"\0" * before + raw).decode()
            fragments.append(encoded[skipped : (before + len(raw)) * 8 // 6])
    return fragments


def _dump_nothing() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


ACCOUNT, NOWHERE = "ACCOUNT-HIDDEN", "hidden.invalid"

"""What stands in the place of an account's number and of a host; each is still a number and a host to a reader."""

PUBLIC = frozenset({
    "localhost", "api.alpaca.markets", "paper-api.alpaca.markets", "data.alpaca.markets", "api.unusualwhales.com",
    "futures.kraken.com", "demo-futures.kraken.com",
})  # fmt: skip

"""Hosts that everybody has."""

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
    # Who acted is told as verb, person and process: "unhalt ann/5115".
    (re.compile(r"(?:^|(?<=[a-z] ))(?!\d)[\w.-]{1,32}/(\d{1,7})(?![\w/.-])"), r"someone/\1"),
    (re.compile(r"\bPA[A-Z0-9]{8,12}\b"), ACCOUNT),
    (re.compile(r"\b(?:PK|AK|CK)[A-Z0-9]{14,}\b|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), HIDDEN),
    (re.compile(r"\b\d{6,12}:[\w-]{30,}"), HIDDEN),
    (re.compile(rf"(?i)([\w-]*{SECRET}[\w-]*[\"']?\s*[=:]\s*[\"']?)(?!\[hidden\])[^\s\"',;]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]{8,}"), HIDDEN),
)


class Redactor:
    """Replaces private details in texts, and in all of a JSON value.

    `ids` maps order ids to replacements; another id gets a digest by the secret `salt`. `names` are hosts and people of
    this machine; a name that is also among `words`, which programs need, is left.
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
        known = [(form, ACCOUNT) for form in forms(account)] if len(account) >= SHORTEST_NAME else []
        known += [(form, HIDDEN) for secret in secrets if len(secret) >= SHORTEST for form in forms(secret)]
        known += [(f"…{self._tail}", "…HIDE"), (folder, "STATE")]
        self._known = sorted(((text, by) for text, by in known if text.strip("/.")), key=lambda one: -len(one[0]))
        chosen = {name: by for name, by in names.items() if len(name) >= SHORTEST_NAME and name not in words}
        self._names = _whole_words(chosen) if chosen else None
        self._by = {name.lower(): by for name, by in chosen.items()}
        self._done = dict[str, str]()

    def text(self, text: str) -> str:
        """Return a text without private details, from a cache: a record has most of its texts many times."""
        if text not in self._done:
            self._done[text] = self.once(text)
        return self._done[text]

    def once(self, text: str) -> str:
        """Return a text without private details, while not all ids are known yet."""
        if text == self._tail:
            return "HIDE"
        text = ID.sub(self._id, hide(text))
        for known, by in self._known:
            if known in text:
                text = text.replace(known, by)
        text = URL.sub(_url, text)
        for form, by in BY_FORM:
            text = form.sub(by or _host, text)
        return self._names.sub(lambda found: self._by[found[0].lower()], text) if self._names else text

    def tree(self, value: Any, *, named: bool = True) -> Any:
        """Return a JSON value without private details.

        Texts under a name such as `token` are always hidden, unless names aren't field names (`named`): a record uses
        symbols and strategies as names there.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(one, named=named) for one in value]
        if isinstance(value, dict):
            return dict(self._items(value, named))
        return value

    def _items(self, value: Mapping[str, Any], named: bool) -> Iterator[tuple[str, Any]]:
        for name, item in value.items():
            hidden = named and NAMED.search(name) and isinstance(item, str) and item
            yield self.text(name), HIDDEN if hidden else self.tree(item, named=named)

    def _id(self, match: re.Match[str]) -> str:
        known = self._ids.get(match[0])
        return known or match[1] + _letters(f"{self._salt}\n{match[2]}")


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
