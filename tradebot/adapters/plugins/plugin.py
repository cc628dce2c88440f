"""Load strategies by entry point. Our own strategies run in this process, and every other strategy runs in its own
process.

A plug-in is code that we didn't write. It gets a copy of its view, a time limit for each answer, an address-space
limit, and an environment without our keys. Its answers come back as data, never as objects. Where the system allows it,
it can't reach our files, our processes or a network (`confinement.py`). None of this restricts what a package does
while it is being installed, or in a `.pth` file, which Python runs at each start.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

from msgspec import Struct
from pydantic import ValidationError

from tradebot.adapters.plugins.code_digest import FileVersion, StrategyCode, built_in_code, code_of, read_code
from tradebot.adapters.plugins.confinement import Protections
from tradebot.adapters.plugins.file_access import why_unreadable
from tradebot.adapters.plugins.process import NoValidReplyError, PluginProcess
from tradebot.adapters.plugins.protocol import GROUP, AnswerBounds, PluginDeclaration, Start
from tradebot.adapters.text.extras import DISTRIBUTION
from tradebot.desk.want_validation import MAX_TEXT
from tradebot.errors import ConfigurationError, OperatorError, word
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.sentences import describe_validation_error
from tradebot.model.struct_tools import replace
from tradebot.model.view import NOTHING, Needs, SlotWants, StrategyView, Want
from tradebot.ports.strategy import Strategy

T = TypeVar("T")
OUR_PACKAGE = "tradebot"


class PluginEnvironment(Struct, frozen=True):
    """What a plug-in runs with: its limits, its environment variables, and the files that it can't access.

    `noted` is the file that records which models work on this machine. In a backtest it is None: nothing is recorded,
    and our own strategies get at least a plug-in's time limit. `promoted_only` are the strategies that may enter only
    with what was promoted, so no earlier model may act in a promoted one's place.
    """

    bounds: AnswerBounds
    environ: Mapping[str, str]
    private: tuple[Path, ...]
    noted: Path | None = None
    promoted_only: frozenset[str] = frozenset()


def installed_strategies(names: Collection[str] | None = None) -> dict[str, EntryPoint]:
    """Return the installed strategies by name; raise OperatorError if two packages use the same name.

    With `names`, only those names are checked. A strategy whose entry point is malformed is left out.
    """
    strategies_by_name: dict[str, EntryPoint] = {}
    for point in _read_entry_points():
        first = strategies_by_name.setdefault(point.name, point)
        if first.value != point.value and (names is None or point.name in names):
            packages = package_of(first), package_of(point)
            raise OperatorError(
                f"two packages install a strategy named {point.name}: {' and '.join(packages)}",
                f"uninstall one: pip uninstall {next(name for name in packages if name != OUR_PACKAGE)}",
            )
    return {name: point for name, point in strategies_by_name.items() if not _is_malformed(point)}


def _read_entry_points() -> Sequence[EntryPoint]:
    """Return the entry points of all installed packages; raise OperatorError if those of one can't be read."""
    try:
        return [*entry_points(group=GROUP)]
    except (OSError, TypeError, ValueError, AttributeError) as error:
        why = f"the entry points of an installed package can't be read: {error}"
        raise OperatorError(why, "install that package again; pip check may name it") from error


def _is_malformed(point: EntryPoint) -> bool:
    return EntryPoint.pattern.match(point.value) is None


def package_of(point: EntryPoint) -> str:
    """Return an entry point's package; for a built-in strategy, the package name used in records."""
    return OUR_PACKAGE if is_built_in(point) else _distribution_name(point) or "an unknown package"


def is_built_in(point: EntryPoint) -> bool:
    """Return True if a strategy is built in."""
    return _distribution_name(point) == DISTRIBUTION


def _distribution_name(point: EntryPoint) -> str | None:
    """Return the name of the distribution that has an entry point; None if it has none that can be read."""
    try:
        return point.dist.name if point.dist else None
    except (OSError, TypeError, ValueError, AttributeError):
        return None


def strategies(
    wanted: Mapping[str, Mapping[str, object]],
    surroundings: PluginEnvironment,
    installed_as: Mapping[str, str] = MappingProxyType({}),
    among: Mapping[str, EntryPoint] | None = None,
    plugin_type: "type[PluginStrategy] | None" = None,
) -> tuple[Strategy, ...]:
    """Return the configured strategies, each with its own settings and name.

    `installed_as` maps a configured name to the installed plug-in's name; several may share one. `among` has the
    installed plug-ins, if already looked up. A plug-in is a PluginStrategy unless `plugin_type` is another class. Raise
    OperatorError if one isn't installed.
    """
    available = require_installed({name: installed_as.get(name, name) for name in wanted}, among)
    return tuple(
        _strategy(name, available[installed_as.get(name, name)], settings, surroundings, plugin_type or PluginStrategy)
        for name, settings in wanted.items()
    )


def strategies_to_ask(
    wanted: Mapping[str, Mapping[str, object]], surroundings: PluginEnvironment, installed_as: Mapping[str, str]
) -> tuple[Strategy, ...]:
    """Return a bot's strategies; one that isn't installed is refused in each pass, so that it stops no other one.

    Raise OperatorError if none of them is installed.
    """
    points = {name: installed_as.get(name, name) for name in wanted}
    among = installed_strategies(points.values())
    missing = {point for point in points.values() if point not in among}
    if missing.issuperset(points.values()):
        require_installed(points)
    return tuple(
        MissingStrategy(EntryPoint(points[name], "", GROUP), settings, surroundings, name)
        if points[name] in missing
        else _strategy(name, among[points[name]], settings, surroundings, PluginStrategy)
        for name, settings in wanted.items()
    )


def require_installed(
    wanted: Mapping[str, str], among: Mapping[str, EntryPoint] | None = None
) -> Mapping[str, EntryPoint]:
    """Return the installed strategies by name; raise OperatorError if a section names one that isn't installed."""
    available = installed_strategies(wanted.values()) if among is None else among
    for name, point in wanted.items():
        if point not in available:
            if among is None and any(each.name == point for each in _read_entry_points()):
                raise OperatorError(
                    f"the entry point of the strategy {point} can't be read", "install its package again"
                )
            by_name = "with this name" if point == name else f"named {point}"
            raise OperatorError(
                f"strategies.{name} is configured, but no strategy {by_name} is installed",
                f"installed: {', '.join(sorted(available))}; install its package, or set strategies.{name}: null",
            )
    return available


def require_named(name: str, installed_as: str) -> None:
    """Raise OperatorError if the strategy `name`, which the user typed, isn't installed."""
    available = installed_strategies()
    if installed_as not in available:
        names = f"installed: {', '.join(sorted(available))}"
        raise OperatorError(f"no strategy named {word(name)} is installed", f"{names}; tradebot strategy list")


def protections_from(name: str, surroundings: PluginEnvironment) -> Protections:
    """Return this machine's protections against an installed plug-in, without running its code."""
    plugin = PluginStrategy(installed_strategies()[name], {}, surroundings)
    with closing(plugin):
        return plugin.protections()


def code_in_use(wanted: Mapping[str, Mapping[str, object]], installed_as: Mapping[str, str]) -> dict[str, StrategyCode]:
    """Return the current code of the strategies with these settings, leaving out strategies that aren't installed.

    Raise OperatorError if one of their files can't be read.
    """
    points, code = {name: installed_as.get(name, name) for name in wanted}, dict[str, StrategyCode]()
    available = installed_strategies(points.values())
    for name, settings in wanted.items():
        point = available.get(points[name])
        if point is not None:
            try:
                code[name] = built_in_code() if is_built_in(point) else code_of(point, declared_files(settings))
            except OSError as error:
                why = f"{error.filename}, a file of the strategy {name}, can't be read: {error.strerror}"
                raise OperatorError(why, f"check strategies.{name}.files; tradebot strategy list") from error
    return code


def declared_files(settings: Mapping[str, object]) -> tuple[Path, ...]:
    """Return the full paths of the files that a plug-in's section declares."""
    files = settings.get("files") or ()
    assert isinstance(files, Sequence), "a validated configuration must have a list of files here"
    return tuple(Path(os.path.abspath(os.path.expanduser(str(file)))) for file in files)


def code_in_force(strategies: Iterable[Strategy]) -> dict[str, str]:
    """Return the digest of each strategy's running code; a plug-in that was never started is left out."""
    digests = {
        strategy.name: strategy.code if isinstance(strategy, PluginStrategy) else built_in_code().digest
        for strategy in strategies
    }
    return {name: digest for name, digest in digests.items() if digest}


def _strategy(
    name: str,
    point: EntryPoint,
    settings: Mapping[str, object],
    surroundings: PluginEnvironment,
    plugin_type: "type[PluginStrategy]",
) -> Strategy:
    if not is_built_in(point):
        return plugin_type(point, settings, surroundings, name)
    factory = point.load()
    try:
        if hasattr(factory, "surrounded"):
            return cast("Strategy", factory(settings, surroundings, name))
        strategy: Strategy = factory(settings)
    except ValidationError as invalid:
        raise ConfigurationError(_explain_invalid(name, invalid), "config/base.yaml explains every setting") from None
    return strategy if strategy.name == name else Renamed(strategy, name)


class Renamed(Struct, frozen=True):
    """A built-in strategy that a section uses under another name; its orders and lots carry that name."""

    strategy: Strategy
    name: str

    @property
    def needs(self) -> Needs:
        """Return the strategy's needs."""
        return self.strategy.needs

    @property
    def times(self) -> str:
        """Return when the strategy wants to run."""
        return self.strategy.times

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return the orders and targets that the strategy wants, or its decision that it can't determine them."""
        return self.strategy.propose(view)


def _explain_invalid(name: str, invalid: ValidationError) -> str:
    """Describe what is wrong with a built-in strategy's settings that the configuration itself doesn't check."""
    return "\n".join(
        f"strategies.{'.'.join([name, *map(str, error['loc'])])}: {describe_validation_error(error)}"
        for error in invalid.errors()
    )


class PluginStrategy:
    """A strategy written by someone else. Its process starts when first needed, and runs until it fails.

    `code` is the digest of the code that its last process was started with; empty before the first one. After an error,
    the strategy is skipped until the next pass begins, and then gets a new process. The process ends with the thread
    that started it, so an instance may be used in only one thread.
    """

    def __init__(
        self,
        point: EntryPoint,
        settings: Mapping[str, object],
        surroundings: PluginEnvironment,
        name: str | None = None,
    ) -> None:
        self.name = name or point.name
        self.code = ""
        self._point = point
        files = declared_files(settings)
        plugin_settings = {**settings, "files": [*map(str, files)]} if files else dict(settings)
        bounds, private = surroundings.bounds, surroundings.private
        self._start = Start(self.name, point.name, point.value, plugin_settings, bounds, private, files)
        # The plug-in was found through these folders; its process runs elsewhere, so it needs their full paths.
        folders = map(os.path.abspath, filter(None, sys.path))
        self._environ = {**surroundings.environ, "PYTHONPATH": os.pathsep.join(folders)}
        self._process: PluginProcess | None = None
        self._declared: PluginDeclaration | None = None
        self._refusal: Decision | None = None
        self._versions: frozenset[FileVersion] = frozenset()

    @property
    def needs(self) -> Needs:
        """Return what the plug-in declares that it needs; if its declaration fails, return no needs, and `propose` then
        reports the failure.
        """
        declared = self._declaration()
        return declared.needs if declared else NOTHING

    @property
    def times(self) -> str:
        """Return when the plug-in wants to run."""
        declared = self._declaration()
        return declared.times if declared else ""

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return the plug-in's wants, or the decision that refuses its answer; never raise for a plug-in's failure."""
        return self._attempt(lambda process: self._require_unchanged(process).wants(view))

    @property
    def answers_sessions(self) -> bool:
        """Return True if the plug-in can answer for all of its slots in a session at once."""
        declared = self._declaration()
        return declared is not None and declared.sessions

    def propose_many(self, views: Sequence[StrategyView]) -> Sequence[SlotWants] | Decision:
        """Return the plug-in's wants for each of a session's views, or the decision that refuses its answer."""
        return self._attempt(lambda process: self._require_unchanged(process).session_wants(views))

    def protections(self) -> Protections:
        """Return the protections against this plug-in, without running its code; none if its process can't report
        them.
        """
        protections = self._attempt(lambda process: process.protections)
        return Protections() if isinstance(protections, Decision) else protections

    def begin_pass(self) -> None:
        """Let a plug-in that failed in an earlier pass run again."""
        self._refusal = None

    def runs_other_code(self) -> bool:
        """Return True if the plug-in's process runs code that differs from its files, or might.

        It might if a file was replaced and put back, because the process may have imported it in between.
        """
        if self._process is None or is_built_in(self._point):
            return False
        try:
            code, versions = read_code(self._point, self._start.files)
            return (code.digest, versions) != (self.code, self._versions)
        except OSError:
            return True

    def end_if_changed(self) -> None:
        """End the plug-in's process if its files contain other code now; the next answer starts another process."""
        if self.runs_other_code():
            self.close()
            self._declared = None

    def close(self) -> None:
        """End the plug-in's process with everything it started."""
        process, self._process = self._process, None
        if process:
            process.end()

    def _declaration(self) -> PluginDeclaration | None:
        """Return what the plug-in declared when it started."""
        if self._declared is None:
            declared = self._attempt(lambda process: process.declaration)
            self._declared = None if isinstance(declared, Decision) else declared
        return self._declared

    def _require_unchanged(self, process: PluginProcess) -> PluginProcess:
        """Return the process; raise NoValidReplyError if its declaration differs from the one that views were built
        for.
        """
        declared, self._declared = self._declared, process.declaration
        if declared not in (None, self._declared):
            raise _strategy_error("its declared needs have changed")
        return process

    def _attempt(self, step: Callable[[PluginProcess], T]) -> T | Decision:
        """Run a step with the process, starting one if needed; return the result, or the decision if it fails."""
        if self._refusal:
            return self._refusal
        try:
            self._process = self._process or self._start_process()
            with ExitStack() as unanswered:
                # After an interruption, its reply may still be in transit.
                unanswered.callback(self.close)
                answer = step(self._process)
                unanswered.pop_all()
            return answer
        except NoValidReplyError as error:
            self._refusal = error.decision
            return error.decision

    def _start_process(self) -> PluginProcess:
        """Start a process of the plug-in, and set `code` to what it loads; raise NoValidReplyError if a file can't be
        read.
        """
        start = self._start
        for file in start.files:
            if why := why_unreadable(file, start.private):
                raise _strategy_error(f"{file} in strategies.{self.name}.files {why}")
        try:
            code, self._versions = read_code(self._point, start.files)
            self.code = code.digest
        except OSError as error:
            raise _strategy_error(f"{error.filename} can't be read: {error.strerror}") from error
        return PluginProcess(start, self._environ)


class MissingStrategy(PluginStrategy):
    """A configured strategy that isn't installed: it is refused in each pass until it is, and the others continue."""

    def _start_process(self) -> PluginProcess:
        name = self._point.name
        try:
            point = installed_strategies([name]).get(name)
        except OperatorError as error:
            raise _strategy_error(error.message) from error
        if point is None:
            raise _strategy_error(f"no strategy named {name} is installed")
        # Its package has been installed since.
        self._point, self._start = point, replace(self._start, target=point.value)
        return super()._start_process()


def _strategy_error(why: str) -> NoValidReplyError:
    return NoValidReplyError(Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why[:MAX_TEXT]))


def begin_pass(strategies: Iterable[Strategy]) -> None:
    """Let plug-ins that failed in an earlier pass run again."""
    for strategy in strategies:
        if isinstance(strategy, PluginStrategy):
            strategy.begin_pass()


def end_changed(strategies: Iterable[Strategy]) -> None:
    """End the processes of plug-ins whose code has changed, so that none runs code that wasn't promoted."""
    for strategy in strategies:
        if isinstance(strategy, PluginStrategy):
            strategy.end_if_changed()


def close(strategies: Iterable[Strategy]) -> None:
    """End the processes of plug-ins."""
    for strategy in strategies:
        if isinstance(strategy, PluginStrategy):
            strategy.close()
