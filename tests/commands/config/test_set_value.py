"""`tradebot config set` on a file: checked before it is written, and written as a person would have changed it."""

import os
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Said, typed

MINE = """\
# My limits.
limits:
  max_open_positions: 8   # as many as I can watch
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def set_to(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    return typed(capsys, "config", "set", *words, "--config", "mine.yaml")


def test_value_is_changed_with_its_comment_and_shown_as_a_difference(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = set_to(capsys, "limits.max_open_positions", "6")
    assert said.code == 0, said.err
    assert mine.read_text() == MINE.replace("8 ", "6 ")
    assert "-  max_open_positions: 8   # as many as I can watch\n+  max_open_positions: 6 " in said.out
    assert "limits.max_open_positions: 8 before, 6 now" in said.out
    shows(set_to(capsys, "limits.max_open_positions", "6"), 0, "has these values already: nothing to write")


def test_dry_run_shows_the_difference_and_writes_nothing(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = mine.stat()
    said = set_to(capsys, "limits.cooldown_s", "90", "--dry-run", "--json")
    assert (said.code, said.data["written"], said.data["dry_run"]) == (0, False, True)
    assert said.data["lines"][-1] == "+  cooldown_s: 90"
    assert said.data["changes"] == [{"key": "limits.cooldown_s", "value_before": 60, "value": 90}]
    assert (mine.read_text(), mine.stat().st_mtime_ns, os.listdir()) == (MINE, before.st_mtime_ns, ["mine.yaml"])


def test_settings_that_need_each_other_are_set_at_once(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("limits.max_open_positions", "2")
    alone = set_to(capsys, *words)
    assert (alone.code, mine.read_text()) == (2, MINE)
    assert "max_new_entries 5 is above max_open_positions 2" in alone.err
    assert "change the settings that it names as well, all at once: KEY VALUE KEY VALUE" in alone.err
    more = ("limits.max_new_entries", "2", "strategies.flow.limits.max_new_entries", "2")
    assert set_to(capsys, *words, *more).code == 0
    assert mine.read_text().endswith("strategies:\n  flow:\n    limits:\n      max_new_entries: 2\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("limits.max_open_positionz", "3"), "there is no such setting; did you mean max_open_positions?"),
        (("limitz.max_open_positions", "3"), "there is no such setting; did you mean limits?"),
        (("max_open_positions", "3"), "max_open_positions belongs under limits"),
        (("limits.max_open_positions", "lots"), "must be a whole number, not 'lots'"),
        (("limits.max_open_positions", "0"), "must be greater than or equal to 1, not 0"),
        (("limits.max_open_positions", "[5"), "limits.max_open_positions: the value isn't valid YAML"),
        (("strategies.nothing.x", "1"), "no strategy with this name is installed"),
        (("mode", "lime"), "mode 'lime' is not one of sandbox, paper, live"),
        (("limits.max_open_positions.x", "1"), "limits.max_open_positions is '8' there, so it has no named settings"),
        (("limits.max_open_positions",), "has no value: settings are written as KEY VALUE"),
        (("limits.max_open_positions=5",), "next: tradebot config set limits.max_open_positions 5"),
        (("limits.cooldown_s", "61", "limits.cooldown_s", "62"), "limits.cooldown_s is set twice"),
    ],
)
def test_mistake_is_refused_with_what_is_allowed_and_nothing_is_written(
    mine: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    said = set_to(capsys, *words)
    assert (said.code, mine.read_text(), os.listdir()) == (2, MINE, ["mine.yaml"])
    assert says in said.err.replace(".venv/bin/", "")


def test_value_that_a_variable_says_too_is_written_and_the_one_that_counts_is_named(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_OPEN_POSITIONS", "7")
    said = set_to(capsys, "limits.max_open_positions", "6")
    assert (said.code, "max_open_positions: 6" in mine.read_text()) == (0, True)
    variable = "environment: TRADEBOT_LIMITS__MAX_OPEN_POSITIONS"
    assert f"limits.max_open_positions stays 7: {variable} sets it, and overrides the file" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("limits.cooldown_s", "90"), "A running serve takes it over when it is reloaded (kill -HUP)."),
        (("health.ports", "[8081]"), "takes over health.ports when it is restarted; a reload isn't enough."),
        (
            ("health.ports", "[8081]", "limits.cooldown_s", "90"),
            "takes over health.ports when it is restarted, and the others when it is reloaded (kill -HUP).",
        ),
    ],
)
def test_setting_says_whether_serve_takes_it_over_by_a_reload_or_a_restart(
    mine: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in " ".join(set_to(capsys, *words).out.split())


def test_file_that_doesnt_load_can_be_cured(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text(MINE + "shadow: perhaps\n")
    assert set_to(capsys, "limits.cooldown_s", "90").code == 2
    assert set_to(capsys, "shadow", "true").code == 0
    assert mine.read_text() == MINE + "shadow: true\n"


def test_broken_read_only_or_missing_files_say_what_to_do(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text("limits: [1\n")
    assert "mine.yaml: line 2" in set_to(capsys, "shadow", "true").err
    mine.chmod(0o444)
    assert f"chmod u+w {mine}" in set_to(capsys, "shadow", "true").err
    refuses(typed(capsys, "config", "set", "shadow", "true"), 2, "there is no bot here", "--config mine.yaml")


def test_one_of_the_persons_keys_is_never_written(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPACA_SECRET", "s3cr3t" * 6)
    said = set_to(capsys, "sandbox.path", "s3cr3t" * 6)
    assert (said.code, mine.read_text()) == (2, MINE)
    assert "s3cr3t" not in said.err + said.out
