"""Give every verb --schema (the JSON Schema of its --json document) and --utc."""

import json
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperOption

from commands.shared.help import HelpfulCommand
from commands.shared.light_helpers import NOBODY, document, error_document, say
from commands.shared.listed_verbs import VERBS
from commands.shared.times import show_utc
from tradebot.errors import ExitCode, TradebotError

if TYPE_CHECKING:
    from commands.shared.schema_types import Definitions, Schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
DATA: Mapping[str, tuple[str, ...]] = {
    name.partition("/")[0]: kinds for listed in VERBS.values() for name, kinds in listed.prints.items()
}
"""The data types of each document, by their places in the code: imported only when a schema is requested."""


def schema_of(verb: str) -> "Schema":
    """Return the schema of every document that a verb may print, errors included; `verb` is as typed."""
    from commands.shared.schema_types import Definitions

    known = Definitions()
    documents = [_document(name.partition("/")[0], known) for name in VERBS[verb].prints]
    return {
        "$schema": DRAFT,
        "title": f"What tradebot {verb} --json prints",
        "anyOf": [*documents, _error(known)],
        "$defs": known.schemas,
    }


def answer_schema(verb: str, kinds: Collection[str] = ()) -> "Schema":
    """Return the schema of the document that a verb of one word prints where nothing went wrong.

    `kinds` are the names of the data types that it may have; all of the verb's if none is named.
    """
    from commands.shared.schema_types import Definitions

    known = Definitions()
    return {"$schema": DRAFT, **_document(verb, known, kinds), "$defs": known.schemas}


def _document(name: str, known: "Definitions", kinds: Collection[str] = ()) -> "Schema":
    from commands.shared.schema_types import closed_object

    sample = document(name, NOBODY, ExitCode.DONE, None)
    places = [place for place in DATA[name] if not kinds or place.partition(":")[2] in kinds]
    return closed_object(
        schema={"const": sample["schema"]},
        verb={"const": sample["verb"]},
        **_bot_fields(),
        exit_code=known.of(ExitCode),
        data={"anyOf": [known.of(_type(place)) for place in places]},
    )


def _bot_fields() -> "dict[str, Schema]":
    from tradebot.model.trading import Mode, mode_name

    modes = [mode_name(mode, shadow=shadow) for mode in Mode for shadow in (False, True)]
    return {
        "mode": {"enum": [*modes, None]},
        "venue": {"type": ["string", "null"], "description": "The name of the venue at which the account is."},
        "account": {"type": ["string", "null"], "description": "The number's last four characters."},
    }


def _error(known: "Definitions") -> "Schema":
    from commands.shared.schema_types import closed_object

    sample = error_document(TradebotError(""), NOBODY)
    described = closed_object(
        code=known.of(ExitCode),
        message={"type": "string"},
        hint={"type": "string", "description": "The next command; empty if there is none."},
        retryable={"type": "boolean"},
    )
    return closed_object(schema={"const": sample["schema"]}, **_bot_fields(), error=described)


def _type(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


class Verb(HelpfulCommand):
    """A command that also takes --utc and --schema; --schema is handled before the other options and needs no bot."""

    def __init__(self, name: str | None, **given: Any) -> None:
        super().__init__(name, **given)
        for flag, act, what in (
            ("--utc", lambda _context, _option, in_utc: show_utc(in_utc), "Show times in UTC instead of the venue's."),
            ("--schema", _show, "Print the JSON Schema of that document."),
        ):
            common: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
            self.params.append(TyperOption(param_decls=[flag], callback=act, help=what, **common))


def _show(context: typer.Context, _option: object, requested: bool) -> None:
    if requested and not context.resilient_parsing:
        program = context.find_root().command_path
        say(json.dumps(schema_of(context.command_path.removeprefix(f"{program} ")), indent=2))
        raise typer.Exit
