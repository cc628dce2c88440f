"""A configuration is taken over only if it is valid, and what changed is said, with what needs a restart."""

from pathlib import Path

import pytest

from commands.serve.daemon import Reloading, changes, described
from commands.serve.stop import Stop
from tests.commands.serve.test_watch import Scene
from tradebot.adapters.state.serving import read_serving
from tradebot.app.settings import Loaded, load

PLAIN = "shadow: false"


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "mine.yaml").write_text(text)
    return load(folder / "mine.yaml", {})


class Desk:
    """A running `serve` as far as a reload is concerned, whose file is rewritten by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.scene, self.asked = folder, Scene(folder), list[str]()
        self.stop = self.scene.stop
        self.stop.ask = lambda: self.asked.append("asked")
        now = loaded(folder, PLAIN)
        self.reloading = Reloading(
            lambda: load(folder / "mine.yaml", {}), now, self.stop, self.scene.watch, self.scene.events
        )

    def rewrite(self, text: str) -> None:
        (self.folder / "mine.yaml").write_text(text)
        self.stop.reload_asked = True
        self.reloading.look()

    def trouble(self) -> str | None:
        self.scene.pass_s(1)
        noted = read_serving(self.folder)
        return noted.troubles.get("config") if noted else None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_configuration_is_not_reloaded_without_a_signal(desk: Desk) -> None:
    (desk.folder / "mine.yaml").write_text("limits: {max_open_positions: 7}")
    desk.reloading.look()
    assert (desk.asked, desk.scene.types(), desk.reloading.take()) == ([], [], None)


def test_valid_reload_ends_the_passes_once_and_is_taken_once(desk: Desk) -> None:
    desk.rewrite("limits: {max_open_positions: 7}")
    desk.reloading.look()
    assert (desk.asked, desk.scene.types(), desk.stop.reloading) == (["asked"], ["config_reloaded"], True)
    taken = desk.reloading.take()
    assert taken is not None
    assert taken.settings.limits.max_open_positions == 7
    assert (desk.stop.reloading, desk.reloading.take()) == (False, None)


@pytest.mark.parametrize(
    "text", ["limits: {max_open_positions: many}", "limits: [", "nonsense: 1", "strategies: {nobodys: {speed: 1}}"]
)
def test_invalid_reload_keeps_the_settings_until_a_valid_one(desk: Desk, text: str) -> None:
    desk.rewrite(text)
    assert (desk.asked, desk.scene.types()) == ([], ["config_not_reloaded"])
    assert "wasn't reloaded" in str(desk.trouble())
    assert desk.reloading.take() is None
    desk.rewrite(PLAIN)
    assert desk.trouble() is None
    assert desk.scene.events.emitted[-1].details["message"].endswith("nothing in it changed")
    assert desk.asked == []


def test_service_manager_hears_the_beginning_and_end_of_a_reload(desk: Desk) -> None:
    heard = desk.scene.manager.heard
    desk.rewrite(PLAIN)
    assert heard == [], "it isn't ready yet"
    desk.scene.watch.ready()
    for text in (PLAIN, "nonsense: 1"):
        heard.clear()
        desk.rewrite(text)
        assert [("RELOADING" in state, "READY" in state) for state in heard] == [(True, False), (False, True)]
        assert int(heard[0]["MONOTONIC_USEC"]) > 0
    heard.clear()
    desk.rewrite("limits: {max_open_positions: 7}")
    assert ["RELOADING" in state for state in heard] == [True], "it is over once the lanes have begun again"


def test_end_asked_for_during_a_reload_counts(desk: Desk) -> None:
    desk.rewrite("limits: {max_open_positions: 7}")
    desk.stop.end()
    assert desk.reloading.take() is None


def test_second_reload_during_a_reload_runs_after_it(desk: Desk) -> None:
    desk.rewrite("limits: {max_open_positions: 7}")
    desk.rewrite("limits: {max_open_positions: 6}")
    assert desk.scene.types() == ["config_reloaded"]
    assert desk.reloading.take() is not None
    desk.reloading.look()
    taken = desk.reloading.take()
    assert taken is not None
    assert taken.settings.limits.max_open_positions == 6


def test_reload_names_each_change_with_both_values_cut_to_length(tmp_path: Path) -> None:
    before = loaded(tmp_path, PLAIN).settings
    after = loaded(tmp_path, "limits: {max_open_positions: 7}\nuniverse: [AAPL]\nhealth: {ports: [8081]}").settings
    found = changes(before, after)
    assert [name for name, *_ in found] == ["universe", "limits.max_open_positions", "health.ports"]
    said = described(found)
    assert "limits.max_open_positions from 20 to 7" in said
    assert said.endswith("restart serve for health.ports")
    assert max(len(value) for _, *values in found for value in values) <= 81


def test_fetch_is_cut_short_only_by_a_signal_or_a_reload() -> None:
    stop = Stop()
    stop.between_calls(1, 2)
    for ask in (stop.reload, stop.end):
        ask()
        with pytest.raises(Exception, match="after 1 of 2 calls"):
            stop.between_calls(1, 2)
