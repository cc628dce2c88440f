"""Remove keys from texts, and private details from texts to share.

Every key that this process has loaded is removed, in each form in which it may be written. The bot's own code never
writes a key anywhere. This guards against other code: a proxy that echoes the headers it was sent, a plug-in that reads
the key file, an exception that quotes its argument. `halt` uses this module, so it imports nothing slow until there is
a key to hide.

From a text to share, account numbers are removed too, as are order ids that contain them, hosts, addresses, people's
names and home paths. This bot's own details are recognized by their values, and all others by their form. The same text
always gets the same replacement.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

HIDDEN = "[hidden]"

SHORTEST = 8

"""The shortest text treated as a key. No service uses shorter keys, and removing short words would garble texts."""

SECRET_WORDS = ("KEY", "SECRET", "TOKEN", "PASS", "NOTIFY_", "PING")

"""Parts of variable names whose values are secret."""

_forms: dict[str, bytes] = {}

"""Every form of every key that this process was given, as text and as bytes."""


def learn(*keys: str | None) -> None:
    """Remember keys for as long as the process lives, and disable core dumps."""
    new = [form for key in keys if key and len(key) >= SHORTEST and key not in _forms for form in forms(key)]
    if new:
        _forms.update((form, form.encode()) for form in new)
        _dump_nothing()


def without_keys(text: str, environ: Mapping[str, str], file: str = ".env") -> str:
    """Remove the keys of all services from a text that the user typed: those in `environ`, and those in an .env file.

    Unreadable lines of the file are skipped, because they must never prevent or delay a halt.
    """
    pairs = list(environ.items())
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            pairs += [(name, value.strip().strip("\"'")) for name, _, value in (line.partition("=") for line in lines)]
    except OSError:
        pass
    # Most texts have no key in them, and then no key is loaded.
    learn(*(value for name, value in pairs if _is_secret(name) and len(value) >= SHORTEST and value in text))
    return hide_keys(text)


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in SECRET_WORDS)


def hide_keys(text: str) -> str:
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
    """Return the forms in which a key may be written: plain, in JSON, in a URL, in hexadecimal, or anywhere in
    base64.
    """
    raw = key.encode()
    plain = [key, json.dumps(key)[1:-1], key.replace("/", "\\/")]
    quoted = [quote(key, safe=""), quote(key)]
    quoted += [re.sub("%..", lambda match: match[0].lower(), form) for form in quoted]
    hexadecimal = [raw.hex(), raw.hex().upper()]
    return list(dict.fromkeys([*plain, *quoted, *hexadecimal, *_in_base64(raw)]))


def _in_base64(raw: bytes) -> list[str]:
    """Return the base64 forms of bytes at each of the three possible offsets in a group.

    The first and last characters may depend on neighboring bytes, so they are left out.
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
