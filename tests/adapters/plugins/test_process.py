"""A plug-in's process lives on from answer to answer, stands still in between, and is ended when it errs."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.kit.values import NOW, there
from tests.kit.waiting import until
from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy, begin_pass, close
from tradebot.adapters.plugins.process import require_valid
from tradebot.adapters.plugins.protocol import GROUP, AnswerBounds, Pipes, PluginDeclaration, pack_view
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.series import MOST_BARS
from tradebot.model.struct_tools import replace
from tradebot.model.view import NOTHING, BarNeed, FeatureNeed, FeatureRow, Needs, Open, StrategyView

DAILY = BarNeed("1Day", 127)
VALID = PluginDeclaration.of(
    Needs(frozenset({"flow_alerts"}), (DAILY, BarNeed("5Min", 78, symbols=("SPY",)))), "every 5m"
)


def test_a_declaration_says_what_the_needs_said() -> None:
    wanted = FeatureNeed("5Min", ("rsi_14",), optional=("spread",), max_age_s=900)
    needs = Needs(
        frozenset({"iv_rank", "flow_alerts"}),
        (DAILY,),
        quotes=True,
        lots=True,
        equity=True,
        trades=True,
        features=(wanted,),
        situation=True,
    )
    declared = PluginDeclaration.of(needs, "every 5m")
    assert (declared.needs, declared.times) == (needs, "every 5m")
    require_valid(declared)
    require_valid(VALID)


WRONG = [
    ({"facts": ("flow_alerts", "flow_of_news")}, "it needs 'flow_of_news', which isn't a kind of facts; known: "),
    ({"bars": (replace(DAILY, timeframe="1Week"),)}, "'1Week' is not a timeframe"),
    ({"bars": (replace(DAILY, depth=0),)}, "it needs 0 bars of 1Day; the depth must be 1 to 100000"),
    ({"bars": (replace(DAILY, depth=MOST_BARS + 1),)}, "it needs 100001 bars"),
    ({"bars": (DAILY,) * 21}, "it needs 21 series of bars per symbol; at most 20 are allowed"),
    ({"bars": (replace(DAILY, symbols=("SPY",) * 1001),)}, "a need may name at most 1000 symbols"),
    ({"bars": (replace(DAILY, symbols=("",)),)}, "symbols of at most 32 characters"),
    ({"bars": (replace(DAILY, max_age_s=0),)}, "it needs bars that are 0 s old at most; max_age_s must be above 0"),
    ({"bars": (replace(DAILY, least=0),)}, "it needs at least 0 of 127 bars; least must be between 1 and the depth"),
    ({"bars": (replace(DAILY, least=128),)}, "it needs at least 128 of 127 bars"),
    ({"features": (FeatureNeed("5Min", ("rsi_15",)),)}, "rsi_14"),
    ({"features": (FeatureNeed("5Min", ("rsi_14",), optional=("volumes",)),)}, "no feature named volumes|volumes"),
    ({"features": (FeatureNeed("5Min", ("rsi_14",), optional=("rsi_14",)),)}, "each only once"),
    ({"features": (FeatureNeed("5Min", ()),)}, "a need must name at least one feature"),
    ({"features": (FeatureNeed("1Week", ("rsi_14",)),)}, "'1Week' is not a timeframe"),
    ({"features": (FeatureNeed("5Min", ("rsi_14",), max_age_s=0),)}, "it needs features that are 0 s old at most"),
    (
        {"features": (FeatureNeed("5Min", ("rsi_14",)),) * 21},
        "it needs features of 21 timeframes; at most 20 are allowed",
    ),
    ({"times": "x" * 201}, "its times are longer than 200 characters"),
]


@pytest.mark.parametrize(("change", "fault"), WRONG, ids=[row[1] for row in WRONG])
def test_needs_that_cannot_be_met_are_named(change: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        require_valid(replace(VALID, **change))  # type: ignore[arg-type]


VIEW = StrategyView(NOW, ("AAPL", "MSFT"))
NEEDS = Needs(frozenset({"flow_alerts"}), (BarNeed("1Day", 127),), quotes=True)
MODULE = """
import os, signal, stat, sys, threading, time
from tradebot.ports import BarNeed, Component, Needs, Open, Side

def told(view, **values):
    parts = tuple(Component(name, None, 1.0, str(value)) for name, value in values.items())
    return [Open(view.universe[0], Side.BUY, 0.5, components=parts)]

def frame(body):
    return len(body).to_bytes(8, "big") + body

def is_pipe(number):
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode)
    except OSError:
        return False

PIPES = [number for number in range(3, 32) if is_pipe(number)]

class Living:
    name = "living"
    needs = Needs(frozenset({"flow_alerts"}), (BarNeed("1Day", 127),), quotes=True)
    times = "every 5m"
    def __init__(self, settings):
        self.settings, self.asked, self.gaps = settings, 0, [0.0]
    def propose(self, view):
        self.asked += 1
"""
Make = Callable[..., PluginStrategy]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Yield a callable that makes a plug-in whose `propose` has this body; `changes` replaces text of the module."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[PluginStrategy] = []

    def make(body: str, *changes: tuple[str, str], timeout_s: float = 20.0) -> PluginStrategy:
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        text = f"{MODULE}{lines}\n"
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "living_plugin.py").write_text(text)
        made.append(plugin_of(tmp_path, timeout_s))
        return made[-1]

    yield make
    close(made)
    assert left(tmp_path) == []


def plugin_of(mark: Path, timeout_s: float = 20.0) -> PluginStrategy:
    surroundings = PluginEnvironment(AnswerBounds(timeout_s, 2**31), os.environ | {"MARK": str(mark)}, ())
    return PluginStrategy(EntryPoint("living", "living_plugin:Living", GROUP), {}, surroundings)


def left(mark: Path) -> list[int]:
    """Return the processes that run with this mark in their environment."""

    def marked(path: Path) -> bool:
        try:
            return f"MARK={mark}".encode() in path.read_bytes()
        except OSError:
            return False

    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if marked(path)]


def told(plugin: PluginStrategy, view: StrategyView = VIEW) -> dict[str, str]:
    """Return what the plug-in told of itself in its answer."""
    answer = plugin.propose(view)
    assert isinstance(answer, tuple), answer
    (want,) = answer
    assert isinstance(want, Open)
    return {component.name: component.source for component in want.components}


def refused(plugin: PluginStrategy) -> tuple[Reason | None, str]:
    decision = plugin.propose(VIEW)
    assert isinstance(decision, Decision), decision
    return decision.reason, str(decision.observed)


def test_a_plug_in_declares_features_and_sees_their_values(make: Make) -> None:
    need = 'features=(FeatureNeed("5Min", ("rsi_14",), optional=("spread",)),)'
    plugin = make(
        "return told(view, rsi=view.values('AAPL', '5Min')['rsi_14'], why=view.features['AAPL', '5Min'].absent)",
        ("import BarNeed,", "import BarNeed, FeatureNeed,"),
        ("quotes=True", f"quotes=True, {need}"),
    )
    assert plugin.needs.features == (FeatureNeed("5Min", ("rsi_14",), optional=("spread",)),)
    row = FeatureRow(NOW, {"rsi_14": 0.25}, {"spread": "not given"})
    seen = told(plugin, replace(VIEW, features=MappingProxyType({("AAPL", "5Min"): row})))
    assert seen == {"rsi": "0.25", "why": "{'spread': 'not given'}"}


def test_one_process_declares_and_then_answers_each_view_with_one_strategy(make: Make) -> None:
    plugin = make("return told(view, asked=self.asked, pid=os.getpid(), now=view.now, own=os.listdir())")
    assert (plugin.needs, plugin.times) == (NEEDS, "every 5m")
    first, later = told(plugin), [told(plugin, replace(VIEW, now=NOW.replace(minute=each))) for each in range(3)]
    assert {row["pid"] for row in (first, *later)} == {first["pid"]}
    assert [row["asked"] for row in (first, *later)] == ["1", "2", "3", "4"]
    assert [row["now"][14:16] for row in later] == ["00", "01", "02"]
    plugin.close()
    assert told(plugin)["asked"] == "1"


def test_plug_in_is_stopped_between_answers(make: Make) -> None:
    body = """\
def watch():
    last = time.monotonic()
    while True:
        time.sleep(0.001)
        last, gap = time.monotonic(), time.monotonic() - last
        self.gaps.append(gap)
if self.asked == 1:
    threading.Thread(target=watch, daemon=True).start()
time.sleep(0.05)
return told(view, longest=max(self.gaps), times=len(self.gaps))"""
    plugin = make(body)
    told(plugin)
    time.sleep(1.0)
    assert 0.9 < float(told(plugin)["longest"]) < 1.5


ENDS = [
    ("raise KeyError('AAPL')", Reason.STRATEGY_FAILED, "KeyError: 'AAPL' (living_plugin.py line 29)"),
    ("return [None]", Reason.STRATEGY_INVALID, "None: it is not an Open, a Target, a Reduce or a Close"),
    ("import json; json.loads('x')", Reason.STRATEGY_FAILED, "char 0) (living_plugin.py line 29)"),
    ("sys.exit(0)", Reason.STRATEGY_FAILED, "without an answer, exit code 0"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", Reason.STRATEGY_FAILED, "without an answer, exit code -11"),
    # Who crashes leaves no picture of the memory, in which a key may stand.
    ("import resource; raise ValueError(resource.getrlimit(resource.RLIMIT_CORE))", Reason.STRATEGY_FAILED, "(0, 0)"),
    ("x = 'x' * 2**31", Reason.STRATEGY_FAILED, "MemoryError"),
    ("os._exit(3)", Reason.STRATEGY_FAILED, "its process ended without an answer, exit code 3"),
    ("os.closerange(3, 32); return told(view)", Reason.STRATEGY_FAILED, "ended without an answer, exit code 1"),
    ("os.write(max(PIPES), frame(b'{\"wants\": 3}'))", Reason.STRATEGY_FAILED, "unreadable answer: PluginReply.wants"),
    ("os.write(max(PIPES), frame(b'{}'))", Reason.STRATEGY_FAILED, "answered another request"),
    ("os.write(max(PIPES), frame(b'\\x93'))", Reason.STRATEGY_FAILED, "unreadable answer: wants: "),
    (
        "os.write(max(PIPES), frame(b'\\x94' + b'\\x90' * 3 + b'\\x91\\x91\\x03'))",
        Reason.STRATEGY_FAILED,
        "answer: wants",
    ),
    ("os.write(max(PIPES), b'\\xff' * 8)", Reason.STRATEGY_FAILED, "bytes are more than 16777216"),
]


@pytest.mark.parametrize(("body", "reason", "observed"), ENDS, ids=[row[0] for row in ENDS])
def test_plug_in_is_ended_after_an_error_in_a_later_answer(
    make: Make, tmp_path: Path, body: str, reason: Reason, observed: str
) -> None:
    plugin = make(f"if self.asked == 2:\n    {body}\nreturn told(view, asked=self.asked)")
    assert told(plugin) == {"asked": "1"}
    found = refused(plugin)
    assert (found[0], observed in found[1]) == (reason, True), found
    assert left(tmp_path) == []


def test_plug_in_sits_out_until_the_next_pass_after_an_error(make: Make, tmp_path: Path) -> None:
    plugin = make("if len(view.universe) == 2:\n    os._exit(3)\nreturn told(view, asked=self.asked)")
    well = replace(VIEW, universe=("JPM",))
    assert told(plugin, well) == {"asked": "1"}
    for _ in range(2):
        found = plugin.propose(VIEW)
        assert isinstance(found, Decision)
        # It isn't started again in this pass, and what it declared still stands.
        assert (plugin.propose(well), plugin.times, left(tmp_path)) == (found, "every 5m", [])
        begin_pass([plugin])
    assert told(plugin, well) == {"asked": "1"}


@pytest.mark.campaign
def test_time_limit_holds_after_a_plug_in_changed_its_timers(make: Make) -> None:
    body = """\
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
if self.asked == 3:
    os.kill(os.getpid(), signal.SIGSTOP)
return told(view, asked=self.asked)"""
    plugin = make(body, timeout_s=2.0)
    assert [told(plugin)["asked"] for _ in range(2)] == ["1", "2"]
    began = time.monotonic()
    assert refused(plugin) == (Reason.STRATEGY_TIMEOUT, "no answer")
    assert 2.0 <= time.monotonic() - began < 10


def test_keeper_ends_a_plug_in_that_takes_too_long_while_the_bot_hangs(make: Make, tmp_path: Path) -> None:
    body = """\
if self.asked == 2:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    time.sleep(600)
return told(view)"""
    plugin = make(body, timeout_s=3.0)
    told(plugin)
    process = there(plugin._process)
    # A bot that sends its request and then does nothing more.
    process._number.advance()
    process._plugin_process[1].deliver_signal(signal.SIGCONT)
    process._pipes.put(pack_view(VIEW))
    began = time.monotonic()
    while left(tmp_path):
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    assert time.monotonic() - began > 3.0


def test_bot_talks_to_the_plug_in_while_its_keeper_stands_still(make: Make, tmp_path: Path) -> None:
    plugin = make("return told(view, asked=self.asked)")
    told(plugin)
    keeper = there(plugin._process)._process.pid
    os.kill(keeper, signal.SIGSTOP)
    assert [told(plugin)["asked"] for _ in range(3)] == ["2", "3", "4"]
    os.kill(keeper, signal.SIGCONT)


def test_answers_written_in_advance_are_read_as_answers_to_nothing_else(make: Make) -> None:
    plugin = make("os.write(max(PIPES), frame(b'{\"wants\": {}}') * 2)\nreturn told(view, asked=self.asked)")
    assert plugin.propose(VIEW) == ()
    assert refused(plugin) == (
        Reason.STRATEGY_FAILED,
        "its answer can't be used: it wrote an answer before the request",
    )


DECLARED = [
    ('frozenset({"flow_alerts"})', 'frozenset({"gossip"})', "it needs 'gossip', which isn't a kind of facts"),
    ('frozenset({"flow_alerts"})', "7", "TypeError: 'int' object is not iterable"),
    ('BarNeed("1Day", 127)', 'BarNeed("1Day", "all")', "PluginReply.declared.bars"),
    ('BarNeed("1Day", 127)', 'BarNeed("1Week", 127)', "'1Week' is not a timeframe"),
    ('BarNeed("1Day", 127)', 'BarNeed("1Day", 127, price="bid")', "PluginReply.declared.bars"),
    ('needs = Needs(frozenset({"flow_alerts"}), (BarNeed("1Day", 127),), quotes=True)', "", "has no attribute 'needs'"),
]


@pytest.mark.parametrize(("old", "new", "observed"), DECLARED, ids=[row[2] for row in DECLARED])
def test_a_plug_in_that_declares_something_wrong_is_refused(make: Make, old: str, new: str, observed: str) -> None:
    plugin = make("return told(view)", (old, new))
    assert (plugin.needs, plugin.times) == (NOTHING, "")
    reason, found = refused(plugin)
    assert (reason, observed in found) == (Reason.STRATEGY_FAILED, True), found


def test_a_plug_in_that_could_not_declare_is_asked_again_in_the_next_pass(make: Make) -> None:
    plugin = make("return told(view, asked=self.asked)", ('"every 5m"', "5"))
    assert plugin.needs == NOTHING
    make("return told(view, asked=self.asked)")
    assert (plugin.needs, plugin.times) == (NOTHING, "")
    begin_pass([plugin])
    assert (plugin.needs, plugin.times) == (NEEDS, "every 5m")
    assert told(plugin) == {"asked": "1"}


def test_new_process_with_other_needs_is_refused(make: Make) -> None:
    plugin = make("return told(view, asked=self.asked)")
    assert plugin.needs == NEEDS
    plugin.close()
    make("return told(view, asked=self.asked)", ("quotes=True", "quotes=False"))
    assert refused(plugin) == (Reason.STRATEGY_FAILED, "its declared needs have changed")
    begin_pass([plugin])
    assert plugin.needs == replace(NEEDS, quotes=False)
    assert told(plugin) == {"asked": "1"}


def test_interrupted_answer_is_never_used_for_the_next_request(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = make("return told(view, asked=self.asked)")
    told(plugin)

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pipes, "get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plugin.propose(VIEW)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    assert told(plugin) == {"asked": "1"}


SESSIONS = [
    ("return [SlotWants(tuple(told(view, slot=view.slot))) for view in views]", None),
    ("return [SlotWants()]", "ValueError: propose_many gave 1 answers for 2 views"),
    ("return [told(view) for view in views]", "TypeError: propose_many gave a list, not a SlotWants"),
    ("return [SlotWants((None,))] * 2", "TypeError: a NoneType is not an Open, a Target, a Reduce or a Close"),
    ("os.write(max(PIPES), frame(bytes([0x90]))); return []", "answered another request"),
    ("os.write(max(PIPES), frame(b'{\"wants\": {}}')); return []", "answered another request"),
]


@pytest.mark.parametrize(("body", "observed"), SESSIONS, ids=[row[0] for row in SESSIONS])
def test_a_plug_in_answers_for_the_views_of_a_session_or_is_refused(
    make: Make, body: str, observed: str | None
) -> None:
    many = f"def propose_many(self, views):\n        {body}\n    def __init__"
    plugin = make("return told(view)", ("def __init__", many), ("import BarNeed,", "import BarNeed, SlotWants,"))
    assert plugin.answers_sessions
    answers = plugin.propose_many([replace(VIEW, slot=slot) for slot in ("one", "two")])
    if observed is not None:
        assert isinstance(answers, Decision)
        assert observed in str(answers.observed)
        return
    assert not isinstance(answers, Decision)
    assert [answer.if_flat[0].components[0].source for answer in answers if isinstance(answer.if_flat[0], Open)] == [
        "one",
        "two",
    ]


def test_plug_in_killed_between_answers_is_reported(make: Make, tmp_path: Path) -> None:
    plugin = make("return told(view)")
    told(plugin)

    def stopped() -> list[int]:
        return [pid for pid in left(tmp_path) if ") T " in Path(f"/proc/{pid}/stat").read_text()]

    until(stopped)
    os.kill(stopped()[0], signal.SIGKILL)
    assert refused(plugin) == (Reason.STRATEGY_FAILED, "its process ended without an answer, exit code -9")


def test_a_process_ends_with_the_thread_that_first_asked_it(make: Make, tmp_path: Path) -> None:
    asking = threading.Thread(target=make("return told(view)").propose, args=(VIEW,))
    asking.start()
    asking.join()
    until(lambda: not left(tmp_path))
