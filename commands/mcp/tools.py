"""The tools for an assistant: a fixed table of verbs, and the options of each with their allowed values.

Anyone may have written a note, a headline, a symbol's name or a broker's refusal, and the bot's sentences quote them. A
list of dangerous fields could be incomplete. So every text is marked as data, unless it is a word of its schema, a
number, or a short name.

A tool returns the verb's own document, so nothing is computed twice. A failing verb doesn't affect the server.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from commands.shared.completion import profiles
from commands.shared.error_boundary import identify_bot
from commands.shared.light_helpers import clean, document_in, error_document
from commands.shared.schema import answer_schema
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.serving import ChoreEnd

MOST_PASSES, MOST_DUE, MOST_SESSIONS, MOST_CHANGES = 500, 100, 20, 10
LIMIT_S, LONG_S = 60.0, 300.0
"""The time limits of a verb, and of one that runs sessions or measures."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:^=-]{0,39}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_ ,:.-]{1,40}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="A date such as 2026-11-16.")]
Span = Annotated[
    str, Field(pattern=r"^(session|\d{1,5}[smhd])$", description="session, or a duration such as 30m or 2d.")
]
Change = Annotated[str, Field(min_length=1, max_length=200)]


def whole_number_in(first: int, last: int, what: str) -> Any:
    """Return the type of a whole number in a range."""
    return Annotated[int, Field(ge=first, le=last, description=what)]


class Parameter:
    """A tool's parameter: its name, its type, and its command-line option.

    A parameter without an option is a positional argument. A flag has one option for true and another for false.
    """

    def __init__(
        self, name: str, kind: Any, option: str | None, *, required: bool = False, unless: str | None = None
    ) -> None:
        self.name, self.kind, self.option, self.required, self.unless = name, kind, option, required, unless

    def words(self, value: Any) -> Iterator[str]:
        """Yield the command-line words for a valid value."""
        if isinstance(value, bool):
            yield from filter(None, [self.option if value else self.unless])
        elif isinstance(value, list):
            for item in value:
                yield from self.words(item)
        else:
            # One word with its option: a value can never become an option itself.
            yield f"{self.option}={value}" if self.option else str(value)


class Tool:
    """A verb that an assistant may run, with its fixed options, and its limit in seconds.

    `kinds` names the types of data that the tool can return, if the verb can also return others. `acts` is True for a
    tool that changes something. `apart` is True for a tool that runs in a separate folder, which is removed afterwards.
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        what: str,
        parameters: Sequence[Parameter] = (),
        *,
        kinds: Collection[str] = (),
        limit_s: float = LIMIT_S,
        acts: bool = False,
        apart: bool = False,
    ) -> None:
        self.name, self.fixed, self.what, self.parameters = name, words, what, parameters
        self.limit_s, self.acts, self.apart, self._kinds = limit_s, acts, apart, kinds

    @cached_property
    def _parameter_model(self) -> type[BaseModel]:
        fields: dict[str, Any] = {
            each.name: (each.kind, ...) if each.required else (each.kind | None, None) for each in self.parameters
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid", strict=True), **fields)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the tool's arguments."""
        return self._parameter_model.model_json_schema()

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the verb's document."""
        return answer_schema(self.fixed[0], self._kinds)

    def words(self, arguments: Mapping[str, Any]) -> list[str]:
        """Return the command line for the arguments; raise OperatorError for an invalid one."""
        try:
            fitting = self._parameter_model.model_validate(dict(arguments))
        except ValidationError as wrong:
            first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the arguments"
            names = ", ".join(each.name for each in self.parameters) or "no arguments"
            raise OperatorError(f"{clean(where)[:40]}: {first['msg']}", f"{self.name} takes {names}") from None
        arguments_given = [(each, getattr(fitting, each.name)) for each in self.parameters]
        return [
            *self.fixed,
            *(word for each, value in arguments_given if value is not None for word in each.words(value)),
        ]


SYMBOL = Parameter("symbol", Name, "--symbol")
ABOUT = Parameter("symbol", Name, None)
STRATEGY = Parameter("strategy", Name, "--strategy")
FROM, TO = Parameter("from_date", Day, "--from"), Parameter("to_date", Day, "--to")
SINCE = Parameter("since", Span, "--since")
LAST = Parameter("last", whole_number_in(1, MOST_PASSES, "How many of the latest passes to cover."), "--last")
SESSION = Parameter("session", Day, "--session")
AT = Parameter("at", Annotated[Word, Field(description="A time of the session, such as 10:32.")], "--at")
WHY_REASON = Parameter("reason", Annotated[Word, Field(description="A refusal's reason or gate.")], "--reason")
BY_SYMBOL = Parameter("by_symbol", bool, "--by-symbol")
CHANGES = Parameter(
    "changes",
    Annotated[
        list[Change],
        Field(
            min_length=1,
            max_length=MOST_CHANGES,
            description="NAME=VALUE of a setting, price:AAPL=230, 'no position:MSFT' or at=10:32.",
        ),
    ],
    "--what-if",
    required=True,
)
RULE = Parameter("reason", Annotated[Word, Field(description="The exit rule, such as trail_stop.")], "--reason")
OPEN = Parameter("open", bool, "--open", unless="--closed")
DUE = Parameter("count", whole_number_in(1, MOST_DUE, "How many runs."), "--next")
FIRST_DAY = Parameter("from_date", Day, "--at")
PROFILE = Parameter("profile", Literal[*profiles("")], "--profile", required=True)
SESSIONS = Parameter(
    "sessions", whole_number_in(1, MOST_SESSIONS, "How many generated sessions."), "--sessions", required=True
)
SEED = Parameter("seed", whole_number_in(0, 2**31 - 1, "A different seed generates different days."), "--seed")
REASON = Parameter("reason", Annotated[str, Field(min_length=3, max_length=200)], "--reason", required=True)

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "status",
            ["status"],
            "The bot's status: trading state, health, equity, positions, orders, recent passes.",
            kinds=("Status",),
        ),
        Tool("positions", ["positions"], "Open positions, how far each is from its exits, and its resting orders."),
        Tool(
            "why",
            ["why-no-orders"],
            "Why the bot did or didn't trade: how many candidates each gate refused, or what each gate decided "
            "about one symbol.",
            (ABOUT, LAST, SINCE, SESSION, AT, WHY_REASON, STRATEGY, BY_SYMBOL),
            kinds=("WhyNoOrders", "SymbolWhy", "ReasonCandidates", "BySymbol", "SymbolSpan"),
        ),
        Tool(
            "what_if",
            ["why-no-orders"],
            "Decide recorded passes again with one or more changes, and compare the results. Nothing is sent or set.",
            (CHANGES, ABOUT, SESSION, AT, LAST, SINCE),
            # Where no pass was recorded, it says why.
            kinds=("WhatIf", "WhatIfSpan", "WhyNoOrders"),
            limit_s=LONG_S,
        ),
        Tool(
            "trades",
            ["trades"],
            "Each trade, why it was closed and what it earned. Ask for days or a symbol if there are many.",
            (FROM, TO, STRATEGY, SYMBOL, RULE, OPEN),
        ),
        Tool(
            "report",
            ["report"],
            "What the account earned, compared with holding, and how much of it may be chance.",
            (FROM, TO, STRATEGY, SYMBOL),
            limit_s=LONG_S,
        ),
        Tool("health", ["health"], "The health of each part of the bot, with its evidence."),
        Tool(
            "audit",
            ["audit", "--offline"],
            "Check jobs, data, books and limits from stored records, without the broker.",
            (SINCE,),
        ),
        Tool("schedule", ["schedule"], "Which jobs run next, and when each strategy is due.", (DUE, FIRST_DAY)),
        Tool(
            "backtest",
            ["backtest"],
            "Play a shipped profile on generated days. Prices are made up, so this shows how a profile acts, not "
            "what it earns. Nothing is kept or counted as a trial.",
            (PROFILE, SESSIONS, SEED),
            limit_s=LONG_S,
            apart=True,
        ),
        Tool(
            "halt",
            ["halt"],
            "Stop opening positions now: entries are canceled, exits continue. Only a person can end a halt, at the "
            "machine. Use it when the person asks for it.",
            (REASON,),
            acts=True,
        ),
    )
}  # fmt: skip
"""Every tool by its name. Nothing else can be run: no orders, approvals, settings, secrets, and no end of a halt."""

OPENING, CLOSING = "⟦", "⟧"
MOST = 400
"""How many characters of one text are included."""
_PLAIN = re.compile(r"[0-9T:.Z-]+|[A-Za-z0-9_./:-]{1,24}")
"""Numbers and times of any length, and names that are too short to tell an assistant what to do."""
_MARKS = str.maketrans({OPENING: "[", CLOSING: "]"})


def mark_untrusted(value: Any, fixed: frozenset[str]) -> Any:
    """Return JSON data with every text and key marked as data and truncated, except for the words in `fixed`."""
    if isinstance(value, str):
        return value if value in fixed or not value or _PLAIN.fullmatch(value) else _as_data(value)
    if isinstance(value, Mapping):
        return {mark_untrusted(name, fixed): mark_untrusted(item, fixed) for name, item in value.items()}
    return [mark_untrusted(item, fixed) for item in value] if isinstance(value, list) else value


def fixed_words(schema: Any) -> frozenset[str]:
    """Return the words that a schema itself contains: field names, and enumerated values."""
    return frozenset(_words(schema))


def _as_data(text: str) -> str:
    shown = clean(text.translate(_MARKS))
    cut = f"{shown[:MOST]}… ({len(shown) - MOST} more characters)" if len(shown) > MOST else shown
    return f"{OPENING}{cut}{CLOSING}"


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _words(item)
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        named = [*schema.get("enum", ()), schema.get("const")]
        yield from (word for word in named if isinstance(word, str))
        for part in schema.values():
            yield from _words(part)


LONGEST = 250_000
"""The most characters of a result: more doesn't help an assistant, and would fill its context."""
CALLER = "assistant"
"""The name under which the records show who halted."""

Run = Callable[[Sequence[str], float, Callable[[], bool]], ChoreEnd]


class ToolResult(NamedTuple):
    """A verb's document with its texts marked as data, and whether it is an error."""

    document: dict[str, Any]
    is_error: bool


class ToolRunner:
    """Runs the verbs of one bot; `runs` creates the runner for a folder."""

    def __init__(
        self, folder: Path, config: str | None, runs: Callable[[Path, str | None, int, str], Run] = OneShots
    ) -> None:
        self._folder, self._config, self._runs = folder, config, runs

    def answer(self, tool: Tool, arguments: Mapping[str, Any], stopping: Callable[[], bool]) -> ToolResult:
        """Return the verb's output; an error is returned too."""
        try:
            document = self._document(tool, [*tool.words(arguments), "--json"], stopping)
        except TradebotError as error:
            document = error_document(error, identify_bot(["--state-dir", str(self._folder)]))
        return ToolResult(mark_untrusted(document, fixed_words(tool.output_schema)), "error" in document)

    def _document(self, tool: Tool, words: Sequence[str], stopping: Callable[[], bool]) -> dict[str, Any]:
        with ExitStack() as stack:
            folder, config = self._folder, self._config
            if tool.apart:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="tradebot-mcp-"))) / "state"
                config = None
            ended = self._runs(folder, config, LONGEST, CALLER)(words, tool.limit_s, stopping)
        document = document_in(ended.output)
        if document is not None and ended.why is None:
            return document
        if ended.why is not None:
            ended_early = f"{tool.name} was {ended.why}"
            raise OperatorError(
                ended_early, "ask for less, or run the command on the bot's machine", code=ExitCode.UNAVAILABLE
            )
        if len(ended.output) >= LONGEST:
            raise OperatorError(f"{tool.name} has too long an answer for an assistant", "ask for fewer days or rows")
        raise TradebotError(f"{tool.name} ended with exit code {ended.code} and no answer", f"tradebot {tool.fixed[0]}")
