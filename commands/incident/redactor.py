"""Make the redactor of a bot: its keys, its account, its orders' ids, and the names of its machine and its owner."""

import getpass
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.adapters.state.env_file import read_env_file
from tradebot.adapters.text.identity_redaction import NAMED, PUBLIC, URL, Redactor, host_of
from tradebot.app.keys import load_secrets
from tradebot.errors import TradebotError
from tradebot.model.values import replace

if TYPE_CHECKING:
    from commands.incident.gather import IncidentSubject
    from tradebot.app.wiring import App
    from tradebot.model.intent import IntentKey


def redactor_of(app: "App", found: "IncidentSubject", environ: Mapping[str, str]) -> Redactor:
    """Return what hides everything private of a bot."""
    _learn(app, environ)
    account = app.folder.account_number
    host = platform.node()
    given = {**_env_file(), **environ}
    hosts = {
        host,
        *_hosts(given.values()),
        *_hosts([app.settings.model_dump_json()]),
        *(set(app.settings.health.hosts) - PUBLIC),
    }
    names = {name: "host" for one in hosts for name in (one, one.partition(".")[0])} | {_user(): "someone"}
    words = {*_words(app.settings.model_dump(mode="json")), *_enumerated()}
    secrets = [value for name, value in given.items() if NAMED.search(name)]
    folder = str(app.folder.path.absolute())
    kept = {name: by for name, by in names.items() if name.lower() not in words}
    ids = dict[str, str]()
    redactor = Redactor(account, folder, kept, ids=ids, salt=app.folder.id, secrets=secrets)
    text = cache(redactor.once)
    ids.update(
        (one.intent.client_order_id, hidden_id(one.intent.key, text))
        for one in found.every_intent
        if one.intent.key.account == account
    )
    return redactor


def hidden_id(key: "IntentKey", text: Callable[[str], str]) -> str:
    """Return the id that an order has if every text that it is made of is hidden, as `text` hides it."""
    account, strategy, slot = text(key.account), text(key.strategy), text(key.slot)
    symbol, target = text(key.symbol), text(key.target)
    anew = replace(key, account=account, strategy=strategy, slot=slot, symbol=symbol, target=target)
    return anew.client_order_id()


def _learn(app: "App", environ: Mapping[str, str]) -> None:
    """Read every key and address once, so that no text shows one."""
    with suppress(TradebotError):
        load_secrets(environ, Path(".env"), app.settings.venue)
    load_secrets(environ, None, app.settings.venue)


def _env_file() -> Mapping[str, str]:
    try:
        return read_env_file(Path(".env"))
    except TradebotError:
        return {}


def _hosts(texts: Iterable[str]) -> Iterator[str]:
    """Yield the hosts of the addresses in texts, without those that everybody has."""
    for text in texts:
        for found in URL.finditer(text):
            host = host_of(found[2])
            if host not in PUBLIC and not host.startswith("127."):
                yield host


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return ""
    return "" if name == "root" else name


def _words(value: Any) -> Iterator[str]:
    """Yield the names by which settings are read, and those of symbols: nobody's machine is meant by them."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield str(name).lower()
            yield from _words(item)
    elif isinstance(value, list):
        yield from (one.lower() for one in value if isinstance(one, str) and re.fullmatch(r"[A-Z][A-Z0-9./]*", one))


def _enumerated() -> Iterator[str]:
    for kind in StrEnum.__subclasses__():
        if kind.__module__.startswith("tradebot."):
            yield from (str(one.value).lower() for one in kind)
