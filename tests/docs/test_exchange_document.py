"""docs/EXCHANGE.md is true: what it posts is taken."""

import http.client
import json
import re
from contextlib import closing
from pathlib import Path

from tests.lab import served

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "EXCHANGE.md").read_text(encoding="utf-8")


def test_every_example_of_an_action_or_a_journal_is_taken(tmp_path: Path) -> None:
    examples = re.findall(r"^POST (\S+) (\{.+\})$", DOCUMENT, flags=re.MULTILINE)
    assert len(examples) >= 4
    with served(tmp_path, "--symbols", "AAPL") as lab:
        for path, body in examples:
            with closing(http.client.HTTPConnection(lab.url.removeprefix("http://"), timeout=20)) as connection:
                connection.request("POST", path, body)
                answer = connection.getresponse()
                assert answer.status == 200, (path, body, answer.read())
        lab.tick(to="next_open")
        happened = {event["type"] for event in lab.logged("corporate_action")}
    assert {json.loads(body)["type"] for path, body in examples if path.endswith("actions")} <= happened
