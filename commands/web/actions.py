"""The only actions on a page: halt, answer a request, annotate a trade, close a position, and cancel an order.

Forms that send orders need a typed word as confirmation, expire after ten minutes, and act only once: if a form is sent
again, the first result is shown.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from commands.flatten.run import ALL, NO_STOP, describe_closing, order_to_cancel, own_working_orders
from commands.shared.light_helpers import clean, clean_lines
from commands.web.html_rendering import CSRF, ONCE
from tradebot.adapters.state.subprocess_runner import Confirmation, ConfirmedAt, OneShots
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.serving import ChoreEnd
from tradebot.model.trading import Mode

WORD = "halt"
LIMIT_S = 120.0
LONGEST, LONGEST_TEXT = 20_000, 1_000
CALLER = "web"
"""The actor of these actions in the records."""
NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:^=-]{0,99}")

Given = Mapping[str, str]
Run = Callable[[Sequence[str], float, Callable[[], bool], Confirmation | None], ChoreEnd]
FORM_S, MOST_FORMS = 600.0, 1_000
"""For how long a form that sends orders can be sent after it was shown, and how many such forms are remembered."""


class CommandResult(NamedTuple):
    """The verb that was run, its output, whether it succeeded, and, if it sent orders, what they were for."""

    command: str
    printed: str
    is_done: bool


def runner_for_folder(folder: Path, config: str | None, longest: int, name: str) -> Run:
    """Return a runner for the verbs of one of several bots; each reads the keys in the `.env` beside its folder."""
    return OneShots(folder, config, longest, name, folder.parent)


class ShownForm(NamedTuple):
    """A form that sends orders: which session it was shown to, when, and its result once it has been sent."""

    session: str
    shown_s: float
    result: "Future[CommandResult] | None" = None


class SingleUseForms:
    """The forms that send orders, by the random value in each; they are forgotten when the server ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._forms: OrderedDict[str, ShownForm] = OrderedDict()

    def issue(self, session: str) -> str:
        """Return a new random value that identifies a form shown to a session."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._forms[name] = ShownForm(session, self._clock())
            while len(self._forms) > MOST_FORMS:
                self._forms.popitem(last=False)
        return name

    def run(self, session: str, name: str, act: Callable[[], CommandResult]) -> CommandResult:
        """Perform a form's action the first time that the form is sent, and return the same result every later time.

        Raises OperatorError if the form was shown to somebody else, or too long ago.
        """
        with self._lock:
            form = self._forms.get(name)
            if form is None or form.session != session or (form.result is None and self._is_old(form)):
                raise OperatorError("this form is too old, so nothing was sent", "load its page again")
            if form.result is None:
                result = Future[CommandResult]()
                self._forms[name] = form._replace(result=result)
        if form.result is not None:
            return form.result.result()
        try:
            result.set_result(act())
        except TradebotError as error:
            result.set_exception(error)
        finally:
            if not result.done():
                result.set_exception(OperatorError("the outcome isn't known", "look at the Positions page"))
        return result.result()

    def _is_old(self, form: ShownForm) -> bool:
        return self._clock() - form.shown_s > FORM_S


class VerbActions:
    """Runs the verbs of one bot, each in a separate process; `runs` creates the runner for a folder."""

    def __init__(
        self, folder: Path, config: str | None, runs: Callable[[Path, str | None, int, str], Run] = OneShots
    ) -> None:
        self._folder, self._config, self._runs = folder, config, runs

    def act(self, form: Given) -> CommandResult:
        """Run the action of a form, and return the verb's output; raise OperatorError for an invalid form."""
        build_words = {**FORMS, **SENDING_FORMS}.get(form.get("do", ""))
        if build_words is None:
            raise OperatorError("this form requests an action that isn't available here", "load the page again")
        words, confirmation = build_words(form), None
        if sends_orders(form):
            typed, token = clean(form.get("word", "")).strip(), form.get("token", "").strip()
            confirmation = Confirmation(ConfirmedAt.PAGE, typed[:LONGEST_TEXT], token or None)
        ended = self._runs(self._folder, self._config, LONGEST, CALLER)(words, LIMIT_S, lambda: False, confirmation)
        why = f"\n{words[0]} was {ended.why}" if ended.why else ""
        command = " ".join(words) if confirmation else words[0]
        return CommandResult(command, clean_lines(hide_keys(ended.output + why)).strip(), ended.code == 0)


def sends_orders(form: Given) -> bool:
    """Return True if a form closes positions or cancels an order."""
    return form.get("do", "") in SENDING_FORMS


def _halt(form: Given) -> list[str]:
    typed = form.get("word", "").strip()
    if typed != WORD:
        raise OperatorError(f"nothing is halted: you typed {clean(typed)[:40]!r}", f"type {WORD} to confirm")
    return ["halt", f"--reason={_text(form, 'reason') or 'halted from the web page'}"]


def _approve(form: Given) -> list[str]:
    return ["approve", _name(form, "request")]


def _reject(form: Given) -> list[str]:
    return ["reject", _name(form, "request")]


def _note(form: Given) -> list[str]:
    text, tag = _text(form, "text"), _text(form, "tag")
    if text.startswith("-"):
        raise OperatorError("a note can't begin with a dash here", "begin it with a word")
    return ["trades", "note", _name(form, "trade"), *([text] if text else []), *([f"--tag={tag}"] if tag else [])]


def _close(form: Given) -> list[str]:
    return ["flatten", _name(form, "symbol")]


def _close_all(_: Given) -> list[str]:
    return ["flatten", "--all"]


def _cancel(form: Given) -> list[str]:
    return ["cancel", _name(form, "order")]


def _name(form: Given, field: str) -> str:
    name = form.get(field, "").strip()
    if not NAMED.fullmatch(name):
        raise OperatorError(f"{clean(name)[:40]!r} isn't a name", "load the page again, and choose one of its names")
    return name


def _text(form: Given, field: str) -> str:
    return clean(form.get(field, "")).strip()[:LONGEST_TEXT]


FORMS: Mapping[str, Callable[[Given], list[str]]] = {
    "halt": _halt,
    "approve": _approve,
    "reject": _reject,
    "note": _note,
}
"""The actions by the names of their buttons."""
SENDING_FORMS: Mapping[str, Callable[[Given], list[str]]] = {
    "close": _close,
    "close-all": _close_all,
    "cancel": _cancel,
}
"""The actions that send orders: each takes a typed word, and the token again with real money."""


def closing_links(app: App, symbol: str | None = None) -> Markup:
    """Return links to the forms that close the bot's positions and cancel its orders, in one symbol or in all."""
    if not app.settings.web.may_close:
        return Markup("")
    positions = app.ledger_view.totals().own_positions()
    symbols = sorted({position.symbol for position in positions if symbol in (None, position.symbol)})
    rows = [row for row in own_working_orders(app) if symbol in (None, row.order.symbol)]
    lines = list[Markup]()
    if symbols:
        links = [_link("/close", "symbol", name, f"Close {clean(name)}") for name in symbols]
        every = [Markup('<a href="/close">Close everything</a>')] if symbol is None else []
        lines.append(Markup('<p class="links">{}</p>').format(Markup(" ").join([*links, *every])))
    lines += [
        Markup('<p class="links">{}</p>').format(_link("/cancel", "order", row.id, f"Cancel {row.description}"))
        for row in rows
    ]
    return Markup("").join(lines)


def _link(path: str, field: str, value: str, text: str) -> Markup:
    return Markup('<a href="{}?{}={}">{}</a>').format(path, field, quote(value, safe=""), text)


def close_form(app: App, symbol: str | None) -> Markup:
    """Return what would be closed, in one symbol or in all, and the form for it."""
    _require_permitted(app)
    named = describe_closing(app, symbol)
    if not named:
        return Markup("<p>The bot has no positions, so there is nothing to close.</p>")
    what = Markup("<p>This closes {}, at prices that fill at once. Entries are canceled first.</p>")
    shown = what.format(clean(", ".join(named)))
    if symbol is None:
        return shown + _sending_form(app, "close-all", ALL, {})
    return shown + _sending_form(app, "close", symbol, {"symbol": symbol})


def cancel_form(app: App, name: str) -> Markup:
    """Return which order would be canceled, and the form for it; without a name, links to these forms."""
    _require_permitted(app)
    if not name:
        return closing_links(app) or Markup("<p>The bot has no working orders.</p>")
    chosen = order_to_cancel(app, name)
    warning = "Until another stop is placed, nothing at the broker limits the loss. " if chosen.word == NO_STOP else ""
    what = Markup("<p>This cancels {}. {}A later pass may send another order.</p>").format(chosen.description, warning)
    return what + _sending_form(app, "cancel", chosen.word, {"order": chosen.id})


def _require_permitted(app: App) -> None:
    if not app.settings.web.may_close:
        raise OperatorError("web.may_close is false, so nothing can be closed here", "tradebot flatten SYMBOL")


def _sending_form(app: App, do: str, word: str, about: Mapping[str, str]) -> Markup:
    """Return a form that a person confirms with a word, and with the token too where real money is traded."""
    hidden = {"csrf": CSRF, "once": ONCE, **about}
    fields = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value) for name, value in hidden.items()
    )
    token = Markup(
        '<label>Token of these pages <input type="password" name="token" autocomplete="off" required></label>'
    )
    return Markup(
        '<form class="act sends" method="post" action="/act">{}'
        '<label>Type {} <input name="word" autocomplete="off" autocapitalize="off" spellcheck="false" required></label>'
        '{}<button name="do" value="{}">{}</button></form>'
    ).format(
        fields, word, token if app.mode is Mode.LIVE else "", do, "Cancel the order" if do == "cancel" else "Close"
    )
