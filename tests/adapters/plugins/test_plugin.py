"""A plug-in's own process: whatever happens in there is one refusal here."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.kit.values import NOW, there
from tradebot.adapters.plugins.code_digest import built_in_code
from tradebot.adapters.plugins.plugin import (
    PluginEnvironment,
    PluginStrategy,
    code_in_force,
    end_changed,
    installed_strategies,
    package_of,
    require_installed,
    strategies,
    strategies_to_ask,
)
from tradebot.adapters.plugins.protocol import GRACE_S, GROUP, AnswerBounds
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.view import NOTHING, Open, StrategyView
from tradebot.strategies.rotation import RotationStrategy

HEAD = """
import json, os, signal, subprocess, sys, time
from itertools import repeat
from tradebot.ports import BarNeed, Needs, Open, Side

class Odd:
    name = "odd"
    needs = Needs()
    times = ""
    def __init__(self, settings):
        self.settings = settings
    def propose(self, view):
"""
BOUNDS = AnswerBounds(20.0, 2**31)
SURROUNDINGS = PluginEnvironment(BOUNDS, os.environ, ())
VIEW = StrategyView(NOW, ("AAPL", "MSFT"), {"AAPL": SymbolFacts("AAPL")})
Ask = Callable[..., object]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a callable that asks a plug-in whose `propose` has this body."""
    monkeypatch.syspath_prepend(tmp_path)

    def asked(
        body: str,
        *,
        bounds: AnswerBounds = BOUNDS,
        settings: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        target: str = "odd_plugin:Odd",
    ) -> object:
        indented = "\n".join(f"        {line}" for line in body.splitlines())
        (tmp_path / "odd_plugin.py").write_text(f"{HEAD}{indented}\n")
        point = EntryPoint("odd", target, GROUP)
        with closing(
            PluginStrategy(point, settings or {}, PluginEnvironment(bounds, environ or os.environ, ()))
        ) as plugin:
            return plugin.propose(VIEW)

    return asked


def test_a_plug_in_that_hangs_is_ended_in_time(ask: Ask) -> None:
    began = time.monotonic()
    found = ask("while True: signal.pause()", bounds=AnswerBounds(3.0, 2**31))
    assert isinstance(found, Decision)
    assert (found.reason, found.limit) == (Reason.STRATEGY_TIMEOUT, 3.0)
    assert time.monotonic() - began < 60


def test_a_plug_in_alone_is_ended_by_the_kernel_when_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    program = (
        "from tradebot.adapters.plugins.protocol import AnswerBounds\n"
        "from tradebot.adapters.plugins.plugin_worker import limit_time\n"
        f"limit_time(AnswerBounds({0.1 - GRACE_S}, 2**31))\nwhile True: pass"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", program], timeout=120, check=False).returncode == -signal.SIGALRM


def test_plug_in_changes_and_output_stay_in_its_process(ask: Ask) -> None:
    body = """\
view.facts.clear()
view.facts["MSFT"] = None
print("[]" * 100_000)
sys.stderr.write("noise")
assert sys.stdin.read() == ""
Needs.facts = None
return (Open(symbol, Side.BUY, 0.5, 0.9) for symbol in view.universe)"""
    found = ask(body)
    assert isinstance(found, tuple), found
    assert found == (Open("AAPL", Side.BUY, 0.5, 0.9), Open("MSFT", Side.BUY, 0.5, 0.9))
    assert list(VIEW.facts) == ["AAPL"]


def test_a_plug_in_gets_its_settings_and_the_environment_that_it_was_given(ask: Ask) -> None:
    body = "assert os.environ.get('UW_API_KEY') is None\nassert self.settings == {'least': 3}\nreturn []"
    assert ask(body, settings={"least": 3}, environ={"PATH": os.environ["PATH"]}) == ()


@pytest.mark.parametrize("target", ["odd_plugin:Even", "no_such_module:Odd"])
def test_plug_in_that_can_not_be_loaded_is_refused_once(ask: Ask, target: str) -> None:
    found = ask("return []", target=target)
    assert isinstance(found, Decision)
    assert found.reason is Reason.STRATEGY_FAILED


def test_plug_in_reads_its_declared_files_alone_and_an_error_names_them(
    ask: Ask, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("data")
    (data / "model.txt").write_text("0.25")
    (data / "beside.txt").write_text("0.5")
    model = str(data / "model.txt")
    body = "return [Open('AAPL', Side.BUY, float(open({}).read()))]"
    assert ask(body.format("self.settings['files'][0]"), settings={"files": [model]}) == (Open("AAPL", Side.BUY, 0.25),)
    for path in (data / "beside.txt", Path("table.csv")):
        found = ask(body.format(f"'{path}'"), settings={"files": [model]})
        assert isinstance(found, Decision)
        assert found.reason is Reason.STRATEGY_FAILED
        seen = "can't be opened: of your files, it can read only those in strategies.odd.files (model.txt)"
        assert f"{path.name} {seen}" in str(found.observed)
        assert str(found.observed).endswith("(odd_plugin.py line 13)")


@pytest.mark.parametrize(
    ("name", "why"), [("gone.txt", "doesn't exist"), (".env", "is hidden from plug-ins, like all keys,")]
)
def test_plug_in_with_a_declared_file_that_it_can_not_have_is_never_started(
    ask: Ask, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / ".env").write_text("ALPACA_KEY=1")
    found = ask("return []", settings={"files": [str(tmp_path / name)]})
    assert isinstance(found, Decision)
    assert f"{name} in strategies.odd.files {why}" in str(found.observed)


def test_process_of_other_code_than_the_files_contain_now_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file, data = tmp_path / "odd_plugin.py", tmp_path / "data.txt"
    file.write_text(f"{HEAD}        return [Open('AAPL', Side.BUY, 0.25)]\n")
    data.write_text("1")
    with closing(
        PluginStrategy(EntryPoint("odd", "odd_plugin:Odd", GROUP), {"files": [str(data)]}, SURROUNDINGS)
    ) as odd:
        first, code = odd.propose(VIEW), odd.code
        file.write_text(f"{HEAD}        return [Open('MSFT', Side.BUY, 0.25)]\n")
        assert (odd.propose(VIEW), odd.code) == (first, code), "a process goes on with what it has loaded"
        end_changed([odd])
        assert (odd.propose(VIEW), odd.code == code) == ((Open("MSFT", Side.BUY, 0.25),), False)
        code = odd.code
        end_changed([odd])
        data.unlink()
        assert odd.propose(VIEW) == (Open("MSFT", Side.BUY, 0.25),)
        end_changed([odd])
        assert isinstance(odd.propose(VIEW), Decision), "without its file, its code is another"


@pytest.mark.parametrize("name", ["odd_plugin.py", "odd_side.py", "data.txt"])
def test_process_may_run_other_code_once_a_file_was_replaced_and_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A slow answer may have imported the other file in between."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "odd_plugin.py").write_text(f"{HEAD}        import odd_side\n        return []\n")
    for other in ("odd_side.py", "data.txt"):
        (tmp_path / other).write_text("SYMBOL = 1\n")
    settings = {"files": [str(tmp_path / "data.txt")]}
    with closing(PluginStrategy(EntryPoint("odd", "odd_plugin:Odd", GROUP), settings, SURROUNDINGS)) as odd:
        assert (odd.propose(VIEW), odd.runs_other_code()) == ((), False)
        file, aside = tmp_path / name, tmp_path / "aside"
        file.rename(aside)
        file.write_text("SYMBOL = 2\n")
        aside.rename(file)
        assert odd.runs_other_code()
        end_changed([odd])
        assert (odd.propose(VIEW), odd.runs_other_code()) == ((), False)


def test_plug_in_may_decline_and_its_process_stays(ask: Ask) -> None:
    told = "Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, 8, 11)"
    body = f"from tradebot.ports import Decision, Gate, Reason, Verdict\nreturn {told}"
    found = ask(body)
    assert found == Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, 8, 11)
    with closing(PluginStrategy(EntryPoint("odd", "odd_plugin:Odd", GROUP), {}, SURROUNDINGS)) as plugin:
        assert plugin.propose(VIEW) == found
        process = there(plugin._process)
        assert plugin.propose(VIEW) == found
        assert plugin._process is process


@pytest.mark.parametrize("reason", ["HALTED", "STRATEGY_FAILED"])
def test_a_plug_in_cannot_decide_for_a_gate(ask: Ask, reason: str) -> None:
    body = "from tradebot.ports import Decision, Gate, Reason, Verdict\n"
    found = ask(f"{body}return Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.{reason}, 8, 11)")
    assert isinstance(found, Decision)
    assert (found.reason, found.verdict) == (Reason.STRATEGY_INVALID, Verdict.FAIL)


def test_a_built_in_may_be_used_under_several_names_each_with_its_own_settings() -> None:
    sections = {"rotation": {}, "bold": {"ranked": ("AAA", "BBB"), "top": 1, "lookback_sessions": 20}}
    plain, bold = strategies(sections, SURROUNDINGS, {"bold": "rotation"})
    assert isinstance(plain, RotationStrategy)
    assert (plain.name, bold.name, bold.times) == ("rotation", "bold", plain.times)
    assert [need.depth for one in (plain, bold) for need in one.needs.bars] == [127, 21]
    with pytest.raises(ConfigurationError, match=r"strategies\.bold\.top"):
        strategies({"bold": {"top": 0}}, SURROUNDINGS, {"bold": "rotation"})


def install(folder: Path, package: str, entry_point: str) -> None:
    """Make a package look installed in a folder, with one strategy."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_point}\n")


def test_a_plug_in_may_be_used_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "mine", "odd = odd_plugin:Odd")
    (tmp_path / "odd_plugin.py").write_text(f"{HEAD}        return [Open('AAPL', Side.BUY, self.settings['score'])]\n")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = strategies({"twin": {"score": 0.25}}, SURROUNDINGS, {"twin": "odd"})
    assert isinstance(found, PluginStrategy)
    with closing(found):
        assert (found.name, found.propose(VIEW)) == ("twin", (Open("AAPL", Side.BUY, 0.25),))
    with pytest.raises(OperatorError, match="no strategy named even is installed"):
        strategies({"twin": {}}, SURROUNDINGS, {"twin": "even"})
    with pytest.raises(OperatorError, match=r"strategies\.flw is configured") as caught:
        strategies({"flw": {}}, SURROUNDINGS)
    assert "installed: flow" in caught.value.hint


def test_strategy_that_is_not_installed_is_refused_in_each_pass_and_the_others_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    absent, twin = strategies_to_ask({"absent": {}, "twin": {}}, SURROUNDINGS, {"twin": "rotation"})
    assert (absent.name, absent.needs, absent.times) == ("absent", NOTHING, "")
    why = "no strategy named absent is installed"
    assert absent.propose(VIEW) == Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why)
    assert (twin.name, code_in_force([absent, twin])) == ("twin", {"twin": built_in_code().digest})
    with pytest.raises(OperatorError, match=r"strategies\.absent is configured"):
        strategies_to_ask({"absent": {}}, SURROUNDINGS, {})
    # Its package comes back while the bot runs.
    install(tmp_path, "mine", "absent = odd_plugin:Odd")
    (tmp_path / "odd_plugin.py").write_text(
        f"{HEAD}        return [Open('AAPL', Side.BUY, 0.5)]\n".replace("odd", "absent")
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(absent, PluginStrategy)
    absent.begin_pass()
    with closing(absent):
        assert absent.propose(VIEW) == (Open("AAPL", Side.BUY, 0.5),)


def test_two_packages_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "rival", "flow = rival:Flow")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OperatorError, match="two packages install a strategy named flow") as caught:
        strategies({"flow": {}}, SURROUNDINGS)
    assert caught.value.hint == "uninstall one: pip uninstall rival"
    (rotation,) = strategies_to_ask({"rotation": {}}, SURROUNDINGS, {})
    assert rotation.name == "rotation", "the name of a strategy that isn't in use is no trouble"


def test_package_whose_metadata_cannot_be_read_concerns_only_its_own_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "other", "odd = odd_plugin:Odd")
    (tmp_path / "other-1.0.dist-info" / "METADATA").write_bytes(b"Metadata-Version: 2.1\nName: other\nVersion: \xc3")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_of(installed_strategies()["odd"]) == "an unknown package"
    odd, rotation = strategies_to_ask({"odd": {}, "rotation": {}}, SURROUNDINGS, {})
    assert isinstance(odd, PluginStrategy)
    with closing(odd):
        assert isinstance(odd.propose(VIEW), Decision)
    assert isinstance(rotation, RotationStrategy)


def test_malformed_entry_point_concerns_only_its_own_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "other", "longer = lon ger:It")
    monkeypatch.syspath_prepend(tmp_path)
    assert "longer" not in installed_strategies()
    assert "flow" in require_installed({"flow": "flow"})
    with pytest.raises(OperatorError, match="the entry point of the strategy longer can't be read"):
        require_installed({"flow": "flow", "longer": "longer"})


@pytest.mark.parametrize("text", ["[console_scripts]\nother", b"\xe9 = x:Y"])
def test_a_strategy_counts_as_unreadable_while_the_entry_points_of_a_package_are_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes
) -> None:
    install(tmp_path, "other", "")
    broken = tmp_path / "other-1.0.dist-info" / "entry_points.txt"
    broken.write_bytes(text.encode() if isinstance(text, str) else text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OperatorError, match="entry point"):
        installed_strategies()


def test_plug_in_is_refused_when_no_process_can_start(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = ask("return []")
    assert isinstance(found, Decision)
    assert found.observed == "its process could not be started: No such file or directory"
