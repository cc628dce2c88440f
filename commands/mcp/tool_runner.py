"""Answer a tool's call by its verb, in a process of its own that is ended after a limit or if nobody waits for it.

The answer is the verb's own document, so nothing is computed twice, and whatever happens to the verb, the server lives.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from commands.mcp.tools import Tool
from commands.mcp.untrusted_text import fixed_words, mark_untrusted
from commands.shared.error_boundary import whose_of
from commands.shared.light_helpers import document_in, error_document
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.serving import ChoreEnd

LONGEST = 250_000
"""How many characters an answer may have: more is no use to an assistant, and would fill what it remembers."""
CALLER = "assistant"
"""Who halted, in the records."""

Run = Callable[[Sequence[str], float, Callable[[], bool]], ChoreEnd]


class ToolResult(NamedTuple):
    """The document of a verb, its texts marked as data, and whether it is an error."""

    document: dict[str, Any]
    is_error: bool


class ToolRunner:
    """Runs the verbs of one bot; `runs` makes what runs them on a folder."""

    def __init__(
        self, folder: Path, config: str | None, runs: Callable[[Path, str | None, int, str], Run] = OneShots
    ) -> None:
        self._folder, self._config, self._runs = folder, config, runs

    def answer(self, tool: Tool, asked: Mapping[str, Any], stopping: Callable[[], bool]) -> ToolResult:
        """Return the verb's output; an error is an answer too."""
        try:
            found = self._document(tool, [*tool.words(asked), "--json"], stopping)
        except TradebotError as error:
            found = error_document(error, whose_of(["--state-dir", str(self._folder)]))
        return ToolResult(mark_untrusted(found, fixed_words(tool.output_schema)), "error" in found)

    def _document(self, tool: Tool, words: Sequence[str], stopping: Callable[[], bool]) -> dict[str, Any]:
        with ExitStack() as stack:
            folder, config = self._folder, self._config
            if tool.apart:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="tradebot-mcp-"))) / "state"
                config = None
            ended = self._runs(folder, config, LONGEST, CALLER)(words, tool.limit_s, stopping)
        found = document_in(ended.output)
        if found is not None and ended.why is None:
            return found
        if ended.why is not None:
            ended_early = f"{tool.name} was {ended.why}"
            raise OperatorError(ended_early, "ask for less, or run it at the machine", code=ExitCode.UNAVAILABLE)
        if len(ended.output) >= LONGEST:
            raise OperatorError(f"{tool.name} has more to say than an assistant can use", "ask for fewer days, or less")
        raise TradebotError(f"{tool.name} ended with exit code {ended.code} and no answer", f"tradebot {tool.fixed[0]}")
