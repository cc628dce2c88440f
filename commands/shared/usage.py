"""Explain errors in the command line itself: what was wrong, and what to type instead."""

from collections.abc import Callable, Collection, Sequence
from shlex import join
from typing import Any

from typer._click.exceptions import (
    BadOptionUsage,
    BadParameter,
    MissingParameter,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)

from commands.shared.light_helpers import clean
from tradebot.errors import OperatorError
from tradebot.model.sentences import closest_names

NUMBERS = {"int": "a whole number", "int range": "a whole number", "float": "a number", "float range": "a number"}
"""What each of Typer's number types accepts, by Typer's name for it."""


OTHER_WORDS = {"resume": "unhalt", "unpause": "unhalt", "pause": "halt", "stop": "halt"}
"""Other programs' words for verbs of this one. Unlike a misspelling, such a word is unambiguous."""


FEW_OPTIONS = 9
"""An error about an unknown option lists the verb's options if there are at most this many."""


LISTED_BY = {
    "approve": "approvals",
    "reject": "approvals",
    "cancel": "orders",
    "adopt": "reconcile",
    "config set": "config show",
}
"""The verb that lists what another verb's argument may name."""


def usage_error(
    wrong: Exception, arguments: Sequence[str], verbs: Collection[str], command: Callable[[str], Any]
) -> OperatorError:
    """Return the error to show for a command line that Typer couldn't parse; `command` imports a verb."""
    verb = max((verb for verb in verbs if _is_typed(verb, arguments)), key=len, default="")
    context: Any = getattr(wrong, "ctx", None)
    path = f"tradebot {verb}" if verb else context.command_path if context else "tradebot"
    if isinstance(wrong, NoSuchOption):
        early = context is not None and context.parent is None and verb
        return _misplaced_error(wrong.option_name, arguments, verb) if early else _unknown_option(wrong, path)
    if hasattr(getattr(context, "command", None), "commands") and not isinstance(wrong, BadParameter | BadOptionUsage):
        return _unknown_verb(wrong, arguments, context.command_path, verbs, command)
    sentence = _sentence(wrong, path.removeprefix("tradebot "))
    return OperatorError(sentence, _next_command(wrong, path, verb, verbs, command))


def _next_command(wrong: Exception, path: str, verb: str, verbs: Collection[str], command: Callable[[str], Any]) -> str:
    """Return what to type instead of a mistyped line: the corrected option, an example, or where to read about the
    verb.
    """
    choices = _choices(wrong)
    if choices and isinstance(wrong, BadParameter) and wrong.param is not None:
        near = closest_names(_typed_choice(wrong), choices)
        return f"{_name(wrong.param)} {near[0] if near else choices[0]}; {path} --help"
    option = _option_without_value(wrong)
    if verb and option and (example := _example(option, command(verb))):
        return example
    if extra := _extra_words(wrong):
        # Some words belong to a verb of its own: `approvals approve 4`.
        path = f"tradebot {extra.split()[0]}" if extra.split()[0] in verbs else path
    listed = f"tradebot {LISTED_BY[verb]} lists them; " if verb in LISTED_BY and _lacks_argument(wrong) else ""
    return f"{listed}{path} --help"


def _choices(wrong: Exception) -> Sequence[str]:
    """Return the values that a mistyped option or argument may have, if these are a closed list."""
    if not isinstance(wrong, BadParameter) or wrong.param is None:
        return ()
    return tuple(map(str, getattr(wrong.param.type, "choices", ())))


def _typed_choice(wrong: BadParameter) -> str:
    return wrong.message.partition("'")[2].partition("'")[0]


def _extra_words(wrong: Exception) -> str:
    if isinstance(wrong, UsageError) and wrong.message.startswith("Got unexpected extra"):
        return clean(wrong.message.partition("(")[2].rpartition("(")[2])[:-1]
    return ""


def _lacks_argument(wrong: Exception) -> bool:
    return isinstance(wrong, MissingParameter) and wrong.param is not None and wrong.param.param_type_name == "argument"


def _option_without_value(wrong: Exception) -> str:
    """Return the option that lacks its value, or the required option that is missing; empty for any other mistake."""
    if isinstance(wrong, BadOptionUsage):
        return "" if "not take" in wrong.message else wrong.option_name
    return _name(wrong.param) if isinstance(wrong, MissingParameter) and not _lacks_argument(wrong) else ""


def _example(option: str, command: Any) -> str | None:
    """Return the verb's own example that gives the option a value, or None if it has none."""
    examples = (command.epilog or "").splitlines()
    return next((line.partition("  #")[0] for line in examples if f"{option} " in line), None)


def _is_typed(verb: str, arguments: Sequence[str]) -> bool:
    words = [word for word in arguments if not word.startswith("-")]
    parts = verb.split()
    return any(words[start : start + len(parts)] == parts for start in range(len(words)))


def _misplaced_error(option: str, arguments: Sequence[str], verb: str) -> OperatorError:
    rest = list(arguments)
    for word in verb.split():
        rest.remove(word)
    return OperatorError(f"{clean(option)} has to come after the verb", f"tradebot {verb} {join(rest)}")


def _unknown_option(wrong: NoSuchOption, path: str) -> OperatorError:
    near = closest_names(wrong.option_name, sorted(wrong.possibilities or ()), 2)
    params = wrong.ctx.command.params if wrong.ctx else ()
    options = [param.opts[0] for param in params if param.opts[0].startswith("--")]
    if wrong.option_name[1:].isdigit():
        return OperatorError(f"{path} takes no negative numbers", f"{path} --help")
    meant = ""
    if near:
        meant = f"did you mean {' or '.join(near)}? "
    elif " " in path and 1 < len(options) <= FEW_OPTIONS:
        meant = f"it takes {', '.join(options)}; "
    return OperatorError(f"{path} has no option {clean(wrong.option_name)}", f"{meant}{path} --help lists them")


def _unknown_verb(
    wrong: Exception, arguments: Sequence[str], path: str, verbs: Collection[str], command: Callable[[str], Any]
) -> OperatorError:
    """Return an error that names the verbs closest to what was typed, or all verbs of the group if none was typed."""
    words = [word for word in arguments if not word.startswith("-")]
    typed = words[len(path.split()) - 1 :]
    inside = f"{path} ".removeprefix("tradebot ")
    names = [verb.removeprefix(inside) for verb in verbs if verb.startswith(inside)]
    if isinstance(wrong, NoArgsIsHelpError) or not typed:
        names = list(dict.fromkeys(name.split()[0] for name in names))
        return OperatorError(f"{path} needs one of its verbs: {', '.join(names)}", f"{path} --help")
    other = OTHER_WORDS.get(inside + typed[0])
    elsewhere = [other] if other else [verb for verb in verbs if verb.endswith(f" {typed[0]}")]
    meant = [f"{inside}{name}" for name in closest_names(typed[0], names)]
    # A typing error must not end in a trade, so a verb that acts is only listed, not suggested.
    near = elsewhere or [verb for verb in meant if not getattr(command(verb).callback, "acts", False)]
    hint = f"did you mean tradebot {near[0]}? " if near else ""
    return OperatorError(f"{path} has no verb {clean(typed[0])!r}", f"{hint}{path} --help lists all verbs")


def _sentence(wrong: Exception, verb: str) -> str:
    if isinstance(wrong, MissingParameter):
        return f"{verb} needs {_name(wrong.param)}"
    if isinstance(wrong, BadParameter) and wrong.param is not None:
        kind = wrong.param.type
        if choices := _choices(wrong):
            return f"{_name(wrong.param)} takes {', '.join(choices)}, not {clean(_typed_choice(wrong))!r}"
        return (
            f"{_name(wrong.param)} takes {NUMBERS[kind.name]}{_range(kind)}" if kind.name in NUMBERS else wrong.message
        )
    if isinstance(wrong, BadOptionUsage):
        return f"{clean(wrong.option_name)} {'takes no' if 'not take' in wrong.message else 'needs a'} value"
    extra = _extra_words(wrong)
    return f"{verb} doesn't know what to do with {extra!r}" if extra else str(wrong)


def _name(param: Any) -> str:
    return str(param.opts[0]) if param.param_type_name == "option" else str(param.human_readable_name).upper()


def _range(kind: Any) -> str:
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is not None and most is not None:
        return f" from {least:,} to {most:,}"
    return f" of at least {least:,}" if least is not None else ""
