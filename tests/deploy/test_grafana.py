"""The dashboard asks only for what `/metrics` has, and shows all of that which a person would act on."""

import json
import re
from pathlib import Path

from commands.serve.web_pages import OF_PARTS

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"tradebot_[a-z_]+")
PAGES = (ROOT / "commands/serve/web_pages.py").read_text()
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
