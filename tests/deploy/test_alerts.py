"""The alarms ask only for what `/metrics` has, name a verb each, and are tested one by one by Prometheus's own tool."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.serve.web_pages import OF_PARTS
from commands.shared.listed_verbs import VERBS

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES: list[Mapping[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
PAGES = (Path(__file__).parents[2] / "commands/serve/web_pages.py").read_text()
TOOL = shutil.which("promtool") or ""
NAME = re.compile(r"tradebot_[a-z_]+")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_asks_for_what_the_bot_tells_and_names_the_verb_to_type(rule: Mapping[str, Any]) -> None:
    assert set(NAME.findall(rule["expr"])) <= set(NAME.findall(PAGES)) | set(OF_PARTS)
    assert rule["annotations"]["next"].removeprefix("tradebot ") in VERBS
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_each_alarm_is_raised_in_a_test_of_the_rules() -> None:
    tests = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    raised = {case["alertname"] for test in tests for case in test.get("alert_rule_test", ()) if case["exp_alerts"]}
    assert raised == {rule["alert"] for rule in RULES}


@pytest.mark.skipif(not TOOL, reason="needs promtool, which comes with Prometheus")
@pytest.mark.parametrize("words", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")], ids=str)
def test_the_tool_of_prometheus_accepts_the_rules_and_their_tests(words: tuple[str, ...]) -> None:
    done = subprocess.run([TOOL, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not TOOL, reason="needs promtool, which comes with Prometheus")
def test_a_rule_that_asks_for_less_fails_its_test(tmp_path: Path) -> None:
    for file in FOLDER.iterdir():
        text = file.read_text().replace("tradebot_positions_without_stop > 0", "tradebot_positions_without_stop > 2")
        (tmp_path / file.name).write_text(text)
    words = (TOOL, "test", "rules", "alerts.test.yaml")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0


ROOT = Path(__file__).parents[2]
SHOWN_ELSEWHERE = {"tradebot_total_cycles", "tradebot_uptime_seconds", *OF_PARTS}


def test_each_figure_of_the_dashboard_is_told_by_the_bot_and_each_told_is_shown() -> None:
    board = json.loads((ROOT / "deploy/grafana/tradebot.json").read_text())
    asked = {name for panel in board["panels"] for each in panel["targets"] for name in NAME.findall(each["expr"])}
    told = set(NAME.findall(PAGES)) | set(OF_PARTS)
    assert asked <= told
    assert {name for name in told if not name.startswith("tradebot_part_")} - SHOWN_ELSEWHERE - asked <= set()


def test_panels_don_t_overlap_and_name_the_chosen_source() -> None:
    board = json.loads((ROOT / "deploy/grafana/tradebot.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${source}"
