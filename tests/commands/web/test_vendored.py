"""What others wrote is there as they published it, with its licence."""

import json
import re
from hashlib import sha256
from pathlib import Path

import commands.web
from commands.web.site import STATIC
from tests.bot import Bot
from tests.commands.web.client import browser, site

HERE = Path(commands.web.__file__).parent / "static"
OWN = {"site.css", "site.js", "charts.js", "what_if.css", "what_if.js"}


def test_each_file_of_others_is_as_they_published_it_and_has_its_licence() -> None:
    rows = json.loads((HERE / "vendored.json").read_text())
    assert {row["file"] for row in rows} == {*STATIC} - OWN
    for row in rows:
        assert sha256((HERE / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        assert (HERE / row["licence_file"]).stat().st_size > 100
        assert row["version"] in (HERE / row["file"]).read_text()


def test_the_notice_that_a_licence_asks_for_is_on_every_page(copy: Bot) -> None:
    client = browser(site(copy.folder))
    notices = [row["notice"] for row in json.loads((HERE / "vendored.json").read_text()) if row["notice"]]
    assert len(notices) == 1
    for path in ("/", "/symbol/AAPL"):
        words = re.sub("<[^>]+>", "", client.get(path).text)
        assert all(notice in words for notice in notices), path
