"""Keys do not come out: what this process was given as a key is taken out of texts, in each form it is written in.

Nothing of ours writes a key anywhere. This is for what others do with one: a proxy that answers with the headers
that it was sent, a plug-in that reads the file of keys, an exception that quotes its argument.
`halt` goes through this file, so it imports nothing before there is a key to hide.
"""

HIDDEN = "[hidden]"
SHORTEST = 8
"""A shorter word is no key of any service, and taking it out would garble texts that merely contain it."""

_forms: dict[str, bytes] = {}
"""Each form of each key that this process was given, as text and as bytes."""


def learn(*keys: str | None) -> None:
    """Remember keys for as long as the process lives, and let its memory not be dumped into a file."""
    new = [form for key in keys if key and len(key) >= SHORTEST and key not in _forms for form in forms(key)]
    if new:
        _forms.update((form, form.encode()) for form in new)
        _dump_nothing()


def hide(text: str) -> str:
    """Return a text without any key."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def hide_in(body: bytes) -> bytes:
    """Return bytes without any key."""
    for form in _forms.values():
        if form in body:
            body = body.replace(form, HIDDEN.encode())
    return body


def forms(key: str) -> list[str]:
    """Return how a key is written: plain, in JSON, in an address, in hexadecimal, anywhere in base64."""
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
    """Return what base64 makes of bytes at each of the three places in a group where they can begin.

    The first and the last character may depend on the neighbours too, so they are left out.
    """
    from base64 import b64encode, urlsafe_b64encode

    found = []
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        for encode in (b64encode, urlsafe_b64encode):
            whole = encode(b"\0" * before + raw).decode()
            found.append(whole[skipped : (before + len(raw)) * 8 // 6])
    return found


def _dump_nothing() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
