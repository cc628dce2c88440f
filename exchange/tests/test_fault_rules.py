"""Fault scripts as text: read strictly, refused with line, rule and field, counted the same after a restart."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import World
from papervenue.faults import fault_table
from papervenue.faults.armed_rules import FIRED, ArmedRules
from papervenue.faults.fault_table import FAULTS, NEEDED
from papervenue.faults.kinds import KINDS, Facts, kind_of
from papervenue.faults.rules import MOST_RULES, RuleError, read_rules
from papervenue.jsontext import encode
from papervenue.times import at_new_york

DAY = "2025-03-03"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a script is a list of rules"),
        ("name: x", "line 1: a script is a list of rules"),
        ("- x", "line 1: rule 1: is a mapping of name, when, what"),
        ("- {what: reply_lost}", "line 1: rule 1: name must be a name of letters"),
        ("- name: x\n  what: reply_los", "line 2: rule x: what.reply_los is not known; did you mean reply_lost?"),
        ("- name: x\n\n  what: {status: 404}", "line 3: rule x: what.status must be one of 429, 500, 502, 503, 504"),
        ("- name: x\n  what: status", "line 2: rule x: what.status must be one of"),
        ("- name: x\n  what: {reply_lost: 3}", "line 2: rule x: what.reply_lost takes no value"),
        ("- name: x\n  what: {hang: 30}", "must be a duration such as 500ms, 5s, 2m or 1h"),
        ("- name: x\n  what: {hang: 2h}", "at most 1h"),
        ("- name: x\n  what: {status: 503, acceptence: after}", "did you mean acceptance?"),
        (
            "- name: x\n  what: reply_lost\n  when:\n    nht: 3",
            "line 4: rule x: when.nht is not known; did you mean nth?",
        ),
        ("- name: x\n  what: reply_lost\n  when: {nth: 0}", "when.nth must be a whole number from 1"),
        ("- name: x\n  what: reply_lost\n  when: {nth: true}", "when.nth must be a whole number from 1"),
        ("- name: x\n  what: reply_lost\n  when: {from: 3, to: 2}", "when.to comes before `from`"),
        ("- name: x\n  what: reply_lost\n  when: {every: 2, nth: 3}", "when.nth means that the rule never fires"),
        ("- name: x\n  what: reply_lost\n  when: {nth: [2, 3], from: 4}", "when.nth means that the rule never fires"),
        ("- name: x\n  what: reply_lost\n  when: {every: 6, to: 5}", "when.every means that the rule never fires"),
        ("- name: x\n  what: reply_lost\n  when: {after: open+5m, until: open}", "when.until does not come later"),
        ("- name: x\n  what: reply_lost\n  when: {request: GET /exchange/*}", "or a method and a path such as"),
        ("- name: x\n  what: reply_lost\n  when: {request: GET /v2/events/*}", "or a method and a path such as"),
        ("- name: x\n  what: reply_lost\n  when: {request: GET /}", "or a method and a path such as"),
        ("- name: x\n  what: fill_during_cancel\n  when: {request: GET /v2/clock}", "not with GET /v2/clock"),
        ("- name: x\n  what: reply_lost\n  when: {after: noon}", "when.after must be open, close, open+5m"),
        ("- name: x\n  what: reply_lost\n  when: {after: 2026-11-16T15:00}", "when.after must be open"),
        ("- name: x\n  what: reply_lost\n  when: {probability: 1.5}", "when.probability must be a share above 0"),
        ("- name: x\n  what: reply_lost\n  when: {request: fetch}", "or a method and a path such as"),
        ("- name: x\n  what: reply_lost\n  when: {stream: trade_updates}", "when.stream goes with mute_stream"),
        ("- name: x\n  what: mute_stream\n  when: {request: any}", "when.request isn't allowed for events"),
        ("- name: x\n  what: reply_lost\n  when: {event: fill}", "when.event needs `stream:`"),
        ("- name: x\n  what: fill_during_cancel\n  when: {request: submit}", "goes with cancel, not with submit"),
        ("- name: x\n  what: {late_arrival: 5s}\n  when: {request: orders}", "goes with submit, replace"),
        ("- {name: x, what: reply_lost}\n- {name: x, what: reset}", "line 2: there are two rules named x"),
        ("- {name: x, name: y}", "the key 'name' occurs twice"),
        ("- &a {name: x, what: reply_lost}\n- *a", "anchors, aliases and tags are not read"),
        ("- !!python/object:os.system {}", "anchors, aliases and tags are not read"),
        ("[" * 20, "too deep or too long"),
        ("- name: x\n\twhat: y", "line 2: found character"),
        ("x" * 40_000, "at most 32768 bytes"),
        ("\x00", "special characters are not allowed"),
        ("- {name: x, what: reply_lost}\n" * (MOST_RULES + 1), f"at most {MOST_RULES} rules"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place_and_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(RuleError) as refused:
        read_rules(text)
    assert says in str(refused.value)


@given(st.text(alphabet="- {}[]:,\n\"'&*!|>#%@` nameworhutqs019.\t", max_size=60))
@settings(max_examples=150)
def test_no_text_is_more_than_refused(text: str) -> None:
    with suppress(RuleError):
        read_rules(text)


@pytest.mark.parametrize("name", fault_table.names())
def test_a_ready_made_script_is_read_says_what_it_is_and_names_its_rules_after_itself(name: str) -> None:
    text = fault_table.text_of(name) or ""
    rules = read_rules(text)
    assert all(rule.name.startswith(name) for rule in rules)
    assert fault_table.summary_of(name).endswith(".")
    for words in ("# What happens:", "# In the world:", "# A good bot:"):
        assert words in text
    assert read_rules(encode([dict(rule.written) for rule in rules]).decode()) == rules


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_asked_for_with_what_it_needs_alone(name: str) -> None:
    given = {"status": 504, "slow_drip": 10, "hang": "5s", "late_arrival": "5s", "clock_skew": "-5s"}
    given["wrong_quotes"] = 1.04
    given |= dict.fromkeys(
        ("late_acknowledgement", "slow_answer", "exits_told_late", "shares_freed_late", "connection_lost"), "5s"
    )
    value = FAULTS[name].value
    needs = value is not None and value.default is NEEDED
    what: Any = {name: given.get(name, "status")} if needs else name
    (rule,) = read_rules(encode([{"name": "x", "what": what}]).decode())
    assert (rule.fault, set(rule.settings)) == (name, set(FAULTS[name].options) | ({"value"} if value else set()))


def book(world: World, script: str, notes: list[tuple[str, dict[str, Any]]]) -> ArmedRules:
    rules = ArmedRules(world.exchange.market.calendar, lambda name, fields: notes.append((name, fields)))
    rules.arm(script, at_new_york(DAY, 9))
    return rules


def fired(rules: ArmedRules, facts: Facts, times: int = 1, at_us: int = at_new_york(DAY, 10)) -> list[int]:
    """Return the places of the requests on which something fired, the first being 1."""
    return [number for number in range(1, times + 1) if rules.firings(facts, at_us)]


SUBMIT = Facts("POST /v2/orders", ("AAPL",), "buy", "tb1.x", ("SBX1", "main"))


@pytest.mark.parametrize(
    ("when", "places"),
    [
        ("{}", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("{nth: 3}", [3]),
        ("{nth: [1, 4]}", [1, 4]),
        ("{every: 3}", [3, 6]),
        ("{from: 2, every: 3}", [2, 5, 8]),
        ("{from: 3, to: 5}", [3, 4, 5]),
        ("{at_most: 2}", [1, 2]),
        ("{every: 2, at_most: 2}", [2, 4]),
        ("{symbol: 'A*', side: buy, client_order_id: tb1.*, account: main, nth: 1}", [1]),
        ("{account: SBX1, nth: 2}", [2]),
        ("{symbol: SPY}", []),
        ("{side: sell}", []),
        ("{account: other}", []),
        ("{client_order_id: tb2.*}", []),
        ("{request: cancel}", []),
        ("{request: [cancel, any change], nth: 1}", [1]),
        ("{request: POST /v2/*, nth: 1}", [1]),
        ("{after: open, until: open+30m}", []),
        ("{after: open+30m, until: close-10m, nth: 8}", [8]),
        (f"{{after: {DAY}T15:00Z, nth: 1}}", [1]),
        (f"{{after: {DAY}T15:00:01Z}}", []),
        (f"{{until: {DAY}T10:00-05:00}}", []),
    ],
)
def test_a_rule_waits_for_its_request_its_time_and_its_count(world: World, when: str, places: list[int]) -> None:
    assert fired(book(world, f"- {{name: x, what: reply_lost, when: {when}}}", []), SUBMIT, 8) == places


def test_a_time_of_the_session_is_never_on_a_day_without_one(world: World) -> None:
    rules = book(world, "- {name: x, what: reply_lost, when: {after: open-9h}}", [])
    assert fired(rules, SUBMIT, 1, at_new_york("2025-03-02", 12)) == []
    assert fired(rules, SUBMIT, 1, at_new_york("2025-03-04", 12)) == [1]


def test_probability_fires_on_the_same_requests_for_the_same_seed_only(world: World) -> None:
    places = [
        fired(book(world, f"- {{name: x, what: reply_lost, when: {{probability: 0.5, seed: {seed}}}}}", []), SUBMIT, 20)
        for seed in (1, 1, 2)
    ]
    assert places[0] == places[1] != places[2]
    assert 4 < len(places[0]) < 16


def test_of_two_rules_that_decide_the_first_fires_and_both_count(world: World) -> None:
    rules = book(world, "- {name: a, what: reset, when: {nth: 2}}\n- {name: b, what: reply_lost}\n"
                       "- {name: c, what: {clock_skew: 1m}}", [])  # fmt: skip
    names = [[firing.rule.name for firing in rules.firings(SUBMIT, at_new_york(DAY, 10))] for _ in range(3)]
    assert names == [["b", "c"], ["a", "c"], ["b", "c"]]
    assert [(one.seen, one.fired) for one in rules] == [(2, 1), (3, 2), (3, 3)]


@given(st.integers(0, 20), st.sampled_from(["nth: 7", "every: 3", "probability: 0.4, seed: 5", "at_most: 4", "to: 9"]))
@settings(max_examples=25)
def test_counting_goes_on_after_a_restart_as_if_there_had_been_none(before: int, when: str) -> None:
    calendar = _Calendarless()
    script = f"- {{name: x, what: reply_lost, when: {{{when}}}}}"
    notes: list[tuple[str, dict[str, Any]]] = []
    whole = ArmedRules(calendar, lambda name, fields: notes.append((name, fields)))  # type: ignore[arg-type]
    whole.arm(script, 0)
    fired(whole, SUBMIT, before)
    again = ArmedRules(calendar, lambda name, fields: None)  # type: ignore[arg-type]
    again.arm(script, 0)
    for name, fields in notes:
        again.restore({"event": name, "at": "2025-03-03T14:30:00Z", **fields})
    assert fired(again, SUBMIT, 20) == fired(whole, SUBMIT, 20)
    assert all(name == FIRED or "fired" not in fields for name, fields in notes)


class _Calendarless:
    """Stands where no rule asks for a session."""


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("POST /v2/orders", "submit"), ("PATCH /v2/orders/1", "replace"), ("DELETE /v2/orders/1", "cancel"),
        ("DELETE /v2/orders", "cancel_all"), ("DELETE /v2/positions/AAPL", "close"), ("GET /v2/orders/1", "order"),
        ("GET /v2/orders:by_client_order_id", "order"), ("GET /v2/stocks/quotes/latest", "quotes"),
        ("GET /v2/stocks/AAPL/bars", "bars"), ("GET /v2/account/portfolio/history", "any trading"),
        ("GET /v1beta1/news", "any data"), ("GET /api/option-trades/flow-alerts", "any flow"),
        ("POST /exchange/v1/tick", ""), ("GET /", ""), ("GET /v2/events/trades", ""), ("GET /exchange/v1/faults", ""),
    ],
)  # fmt: skip
def test_each_request_has_a_kind_but_control_and_page(target: str, kind: str) -> None:
    assert kind_of(target) == kind
    assert (kind in KINDS) == bool(kind)


def test_control_refuses_a_bad_script_and_one_armed_already_and_changes_nothing(world: World) -> None:
    path = "/exchange/v1/faults"
    assert world.ask("POST", path, b"lost-reply").json["armed"][0]["name"] == "lost-reply"
    again = world.ask("POST", path, {"script": "lost-reply"})
    assert (again.status, "is armed already" in again.json["message"]) == (422, True)
    bad = world.ask("POST", path, b"- {name: y, what: reset}\n- {name: z, what: nonsense}")
    assert (bad.status, "line 2: rule z" in bad.json["message"]) == (422, True)
    assert [one["name"] for one in world.get(path)["faults"]] == ["lost-reply"]
    assert world.get("/exchange/v1/status")["faults"] == ["lost-reply"]
    assert world.ask("DELETE", path + "/other").status == 404
    assert world.ask("DELETE", path + "/lost-reply").json == {"cleared": ["lost-reply"]}
    assert world.ask("DELETE", path).json == {"cleared": []}
    assert [one["name"] for one in world.get(path + "/ready")["scripts"]] == fault_table.names()
    assert world.get(path + "/ready/lost-reply")["script"] == fault_table.text_of("lost-reply")
    assert world.ask("GET", path + "/ready/none").status == 404


@pytest.mark.parametrize(
    "when",
    [
        *("{every: 2, nth: 4}", "{every: 2, from: 1, nth: 3}", "{nth: [1, 9], to: 5}", "{every: 5, to: 5}"),
        *("{request: 'GET /*'}", "{request: '* /v?/orders*'}", "{request: GET /api/news/headlines}"),
        *("{after: close-5m, until: open+5m}", "{after: open, until: 2026-11-16T15:00Z}"),
    ],
)
def test_a_rule_that_can_fire_is_armed(when: str) -> None:
    assert read_rules(f"- {{name: x, what: reply_lost, when: {when}}}")


def test_a_number_written_with_a_point_is_the_number_of_the_list() -> None:
    (rule,) = read_rules("- {name: x, what: {late_arrival: 5s, answer: 504.0}}")
    assert encode(rule.settings["answer"]) == b"504"


def test_counts_of_reads_are_noted_once_a_second_and_those_of_changes_at_once(world: World) -> None:
    notes: list[tuple[str, Any]] = []
    now_s = [0.0]
    rules = ArmedRules(world.exchange.market.calendar, lambda name, fields: notes.append((name, fields["seen"])),
                     lambda: now_s[0])  # fmt: skip
    rules.arm("- {name: x, what: reply_lost, when: {nth: 9}}", 0)
    read = Facts("GET /v2/clock")
    assert fired(rules, read, 4) == []
    assert notes == []
    now_s[0] = 1.0
    assert fired(rules, read, 2) == []
    assert notes == [("fault_counted", 5)]
    assert fired(rules, SUBMIT, 1) == []
    assert notes[1:] == [("fault_counted", 7)]
    assert fired(rules, read, 2) == [2]
    assert notes[2:] == [(FIRED, 9)]
    rules.note_counts(at_once=True)
    assert len(notes) == 3
