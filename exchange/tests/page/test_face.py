"""The web page: it loads nothing from elsewhere, and changes things as the commands do, for nobody but its reader."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exchange.tests.kit.app import World, open_world
from exchange.tests.kit.served import served
from papervenue.faces import guard
from papervenue.faces.guard import KEYLESS, PAGE_HEADER
from papervenue.private_files import TOKEN_HEADER

DATA = "/exchange/v1/page"
ROOT = Path(__file__).resolve().parents[3]
HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'
ACTIONS = (
    ("POST", "/exchange/v1/tick", b'{"seconds": 60}'),
    ("POST", "/exchange/v1/faults", b'{"script": "lost-reply"}'),
    ("DELETE", "/exchange/v1/faults/lost-reply", b""),
    ("DELETE", "/exchange/v1/faults/lost-reply", b""),
    ("DELETE", "/exchange/v1/faults", b""),
)
"""What the page's script sends; the same as the commands `exchange tick` and `exchange faults`."""
HERE = {"Host": "127.0.0.1:8787", "Origin": "http://127.0.0.1:8787", "Sec-Fetch-Site": "same-origin"}


def test_page_policy_allows_only_its_own_script_and_style(world: World) -> None:
    answer = world.ask("GET", "/", headers={})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        inline = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", answer.body.decode(), re.DOTALL)
        digest = hashlib.sha256(inline[0].encode()).digest()
        assert (len(inline), policy[directive]) == (1, f"'sha256-{base64.b64encode(digest).decode()}'")


def test_page_loads_nothing_from_elsewhere_and_never_writes_markup(world: World) -> None:
    text = world.ask("GET", "/").body.decode()
    assert set(re.findall(r"https?://[^\s'\"%]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function| on\w+=", text)
    assert not re.search(r"\sstyle=|<(?:script|link|img|iframe)[^>]+src=", text)


def test_page_names_sections_that_the_guide_has(world: World) -> None:
    named = re.findall(r"<i>([^<]+)</i>", world.ask("GET", "/").body.decode())
    guide = (ROOT / "docs" / "OFFLINE.md").read_text()
    assert len(named) == 3
    assert all(f"\n## {name}\n" in guide for name in named)


def test_every_control_of_the_page_has_a_label_and_every_heading_of_a_table_a_scope(world: World) -> None:
    text = world.ask("GET", "/").body.decode()
    controls = re.findall(r"<(?:select|input|textarea) [^>]*id=\"(\w+)\"", text)
    assert len(controls) == 6
    assert sorted(re.findall(r"<label for=\"(\w+)\"", text)) == sorted(controls)
    # Each table of the script is made by one function, with headings by another that gives them their scope.
    assert (text.count('make("table"'), text.count('make("th"')) == (1, 1)
    for live in ("lost", "result"):
        assert re.search(rf'id="{live}" role="status" aria-live=', text), live


def test_data_of_the_page_can_be_neither_embedded_nor_kept(world: World) -> None:
    headers = world.ask("GET", DATA).headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def act(world: World, headers: Mapping[str, str]) -> list[int]:
    """Do all that the page can do; return the statuses."""
    return [world.ask(method, path, body, headers).status for method, path, body in ACTIONS]


def test_what_the_page_does_leaves_the_log_that_the_commands_leave(new_folder: Callable[[], Path]) -> None:
    by_page, by_command = open_world(new_folder()), open_world(new_folder())
    key = by_page.get(DATA)["key"]
    assert act(by_page, HERE | {PAGE_HEADER: key}) == act(by_command, {}) == [200, 200, 200, 404, 200]
    assert by_page.events() == by_command.events()
    assert [line["event"] for line in by_page.events()].count("fault_cleared") > 0
    assert by_page.engine.now_us == by_command.engine.now_us > by_page.engine.start_us


DOORS: dict[str, dict[str, str]] = {
    "a page of another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a page on another port": {"Origin": "http://127.0.0.1:9"},
    "a form of a page without a name": {"Origin": "null"},
    "an old browser's form": {"Origin": "", "Sec-Fetch-Site": "cross-site"},
    "a name that was turned here": {"Host": "evil.example:8787", "Origin": "http://evil.example:8787"},
    "no key": {PAGE_HEADER: ""},
    "the key of another run": {PAGE_HEADER: "0" * 32},
}


@pytest.mark.parametrize("door", DOORS)
def test_page_changes_nothing_for(world: World, door: str) -> None:
    key = world.get(DATA)["key"]
    before = world.events()
    assert set(act(world, {**HERE, PAGE_HEADER: key, **DOORS[door]})) == {403}
    assert world.events() == before
    if "key" not in door:
        # Who may not act may not read the key either.
        assert world.ask("GET", DATA, headers={**HERE, **DOORS[door]}).status == 403
    else:
        assert world.ask(*ACTIONS[0], {**HERE, **DOORS[door]}).json["message"] == KEYLESS


def test_an_address_that_is_opened_never_changes_anything(world: World) -> None:
    key = world.get(DATA)["key"]
    before = world.events()
    for _, path, body in ACTIONS:
        for method in ("GET", "HEAD"):
            world.ask(method, f"{path}?seconds=60&script=lost-reply", body, HERE | {PAGE_HEADER: key})
    assert world.events() == before


def test_each_run_has_another_key_and_the_log_holds_none(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    world = open_world(folder)
    key = world.get(DATA)["key"]
    act(world, HERE | {PAGE_HEADER: key})
    world.exchange.commit()
    assert len(key) == 32
    assert key not in (folder / "log.jsonl").read_text()
    assert open_world(folder).get(DATA)["key"] != key


def test_page_shows_the_token_where_the_kernel_does_not_tell_whose_request_it_is(
    new_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_CONNECTIONS", ())
    with served(new_folder(), token="secret") as server:
        own = {"Origin": server.url, PAGE_HEADER: server.get(DATA)["key"]}
        refused = server.ask("POST", "/exchange/v1/tick", {"seconds": 60}, **own)
        # The page offers its form for the token when a refusal names the header.
        assert (refused.status_code, TOKEN_HEADER in refused.json()["message"]) == (403, True)
        assert (
            server.ask("POST", "/exchange/v1/tick", {"seconds": 60}, **own, **{TOKEN_HEADER: "secret"}).status_code
            == 200
        )
        assert "secret" not in server.ask("GET", DATA).text


def test_hostile_names_are_only_ever_text(world: World) -> None:
    world.tick(to="open")
    assert world.order("SPY", "buy", 1, limit_price="1", client_order_id=HOSTILE[:100]).status == 200
    world.order(HOSTILE[:40], "buy", 1)
    answer = world.ask("GET", f"{DATA}?order={'%22%3E%3Cscript%3E'}&account=%3Cscript%3E")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert answer.json["ended_orders"][0]["symbol"] == HOSTILE[:40]
    # The page itself is the same whatever a client has sent.
    assert world.ask("GET", "/").body == world.ask("GET", "/?order=%3Cscript%3E").body
