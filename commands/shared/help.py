"""Format the help. A verb's help has its description, examples, usage and options.

The program's own help lists the verbs by purpose. Help has to appear at once, so nothing larger than Typer is imported.
"""

from collections.abc import Iterator, Mapping
from inspect import cleandoc
from itertools import groupby
from typing import Any

from typer.core import TyperCommand, TyperGroup

from commands.shared.listed_verbs import VERBS

COLUMN = max(map(len, VERBS))
"""The width of the column of verbs, the same under every heading."""


def _write_help(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the help of a verb or a group."""
    formatter.write_text(cleandoc(command.help or ""))
    with formatter.section("Examples"):
        for example in _examples(command):
            formatter.write(f"  {example}\n")
    formatter.write_paragraph()
    command.format_usage(ctx, formatter)
    command.format_options(ctx, formatter)


class HelpfulCommand(TyperCommand):
    """A verb whose help shows examples. Its epilog lists them, one per line, optionally with a `# comment`."""

    format_help = _write_help


class VerbGroup(TyperGroup):
    """Verbs that share their first word; each is listed with the whole first sentence of its help."""

    format_help = _write_help

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the group's verbs."""
        _write_verbs(formatter, "Verbs", dict(leaves(self)))


class Program(VerbGroup):
    """The program itself, whose help lists every verb by purpose."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a verb or a group; a group's name may have two words, of which the first is a verb too."""
        both = " ".join(args[:2])
        return super().resolve_command(ctx, [both, *args[2:]] if both in self.commands else args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every verb, including those of groups, under its purpose."""
        by_name = dict(leaves(self))
        for purpose, verbs in groupby(VERBS, lambda verb: VERBS[verb].purpose):
            _write_verbs(formatter, purpose, {verb: by_name[verb] for verb in verbs})


def leaves(group: Any, words: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each verb under a group, as a user types it, with its command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command


def _examples(command: Any) -> list[str]:
    if command.epilog:
        return str(command.epilog).splitlines()
    return [_examples(verb)[0] for _, verb in leaves(command)]


def _write_verbs(formatter: Any, heading: str, verbs: Mapping[str, Any]) -> None:
    with formatter.section(heading):
        formatter.write_dl([(verb.ljust(COLUMN), _summary(command)) for verb, command in verbs.items()])


def _summary(command: Any) -> str:
    """Return the first sentence of a verb's help, without its period."""
    return " ".join((command.help or "").split()).partition(". ")[0].removesuffix(".")
