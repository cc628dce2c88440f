"""Bars, lines and spans: what a person sees is in proportion to the numbers.

The console of every verb: what is there to be copied stays on one line, whatever the width.
Typed confirmation and foreign text, as every verb has them.
"""

import hashlib
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from commands.shared.light_helpers import VERSIONS, confirm, print_error, wrapped_plain
from commands.shared.notes import why_in_state
from commands.shared.number_format import (
    HEIGHTS,
    acts_at,
    bar,
    color_by_sign,
    duration,
    format_with_unit,
    gain,
    in_units,
    off_by,
    show_margin,
    show_traded,
    sparkline,
    usd,
)
from commands.shared.schema import DATA, answer_schema
from commands.shared.tables import Screen, Table, sentence
from commands.shared.times import show_utc, slot_for_reader
from tests.kit.values import NOW, listing
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.instrument import TickStep
from tradebot.model.margin import Liquidation
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.sentences import counted_kind, pluralize
from tradebot.model.series import downsample
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, TradingState, TradingStateRecord
from tradebot.views.holdings import AccountMargin

VALUES = st.lists(st.decimals(-1000, 1000, places=2), min_size=1, max_size=200)


@given(VALUES, st.integers(1, 80))
def test_sparkline_is_lowest_and_highest_where_its_values_are(values: list[Decimal], width: int) -> None:
    shown, line = downsample(values, width), sparkline(values, width)
    assert len(line) == len(shown) == min(width, len(values))
    assert shown[-1] == values[-1]
    if max(shown) > min(shown):
        assert line[shown.index(min(shown))] == HEIGHTS[0]
        assert line[shown.index(max(shown))] == HEIGHTS[-1]
        assert sorted(line) == [letter for _, letter in sorted(zip(shown, line, strict=True))]


def test_flat_sparkline_is_drawn_in_the_middle_and_an_empty_one_as_nothing() -> None:
    assert (sparkline([Decimal(5)] * 3, 10), sparkline([], 10)) == ("▄▄▄", "")


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_every_count_has_a_bar_no_longer_than_the_longest(count: int, more: int) -> None:
    drawn = bar(count, count + more, 8)
    assert (len(drawn) > 0) == (count > 0)
    assert len(drawn) <= 8 == len(bar(more, more, 8))


def test_duration_shows_its_two_largest_units() -> None:
    spans = [0, 59, 60, 3599, 3600, 12_000, 86_400, 187_200, -90]
    assert [duration(s) for s in spans] == ["0s", "59s", "1m", "59m", "1h00m", "3h20m", "1d0h", "2d4h", "-1m"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (Decimal("0.0312"), Unit.SHARE_OF_WHOLE, "3.12%"),
        (Decimal("10250.5"), Unit.USD, "10,250.50 USD"),
        ("10,250", Unit.USD, "10,250.00 USD"),
        (0.25, Unit.SECONDS, "0.2 s"),
        (Decimal("-0.01"), Unit.SECONDS, "0 s"),
        (119.94, Unit.SECONDS, "119.9 s"),
        (120.0, Unit.SECONDS, "2 min"),
        (-1080, Unit.SECONDS, "-18 min"),
        (1799.4, Unit.SECONDS, "29 min 59 s"),
        (3600.6, Unit.SECONDS, "1 h 1 s"),
        (3_700_800, Unit.SECONDS, "1,028 h"),
        (1, Unit.ENTRIES, "1 entry"),
        (Decimal("1.5"), Unit.SHARES, "1.5 shares"),
        (0.3867, Unit.NONE, "0.3867"),
        ("REDUCE_ONLY by ada", Unit.SECONDS, "REDUCE_ONLY by ada"),
        (None, Unit.USD, ""),
    ],
)
def test_measured_number_has_its_unit_and_words_are_unchanged(value: object, unit: Unit, text: str) -> None:
    assert format_with_unit(value, unit) == text


@pytest.mark.parametrize(
    ("observed", "limit", "units", "text"),
    [
        (Decimal("-0.0197"), 0, (Unit.SHARE_OF_WHOLE,) * 2, "1.97 points"),
        (0.10004, 0.1, (Unit.SHARE_OF_WHOLE,) * 2, "under 0.01 points"),
        (0.1, 0.1, (Unit.SHARE_OF_WHOLE,) * 2, "0.00 points"),
        (-0.0197, 0, (Unit.NONE,) * 2, "0.0197"),
        (3, 0, (Unit.ORDERS,) * 2, "3 orders"),
        (0, 0, (Unit.SHARES,) * 2, ""),
        (90, 60, (Unit.SECONDS,) * 2, "50%"),
        (0.1981, 0.2, (Unit.NONE,) * 2, "under 1%"),
        (-150, -100, (Unit.USD,) * 2, "50%"),
        ("unknown", 0.2, (Unit.NONE,) * 2, ""),
    ],
)
def test_miss_is_in_points_for_rates_in_its_unit_from_zero_and_else_a_part_of_the_limit(
    observed: object, limit: object, units: tuple[Unit, Unit], text: str
) -> None:
    assert off_by(observed, limit, units) == text


def test_price_shows_cents_or_hundredths_of_a_cent_below_a_dollar() -> None:
    prices = [Decimal("187.2567"), Decimal("0.5"), Decimal("0.001"), Decimal(0), None]
    assert [usd(price) for price in prices] == ["187.26", "0.5000", "0.0010", "0.00", ""]


def test_price_far_below_a_cent_shows_four_digits() -> None:
    prices = [Decimal("0.00098768"), Decimal("0.00004557812"), Decimal("-0.0000000123")]
    assert [usd(price) for price in prices] == ["0.0009877", "0.00004558", "-0.00000001230"]


def test_prices_and_quantities_are_shown_as_the_opened_bots_venue_lists_them() -> None:
    ticks = (TickStep(Decimal(0), Decimal("0.0005")), TickStep(Decimal(10), Decimal("0.25")))
    try:
        show_traded("contract", {"AAPL": listing("AAPL", ticks=ticks)})
        prices = [usd(Decimal(price), symbol) for price in ("3.9995", "0.5", "12.25") for symbol in ("AAPL", "MSFT")]
        assert prices == ["3.9995", "4.00", "0.5000", "0.5000", "12.25", "12.25"]
        assert acts_at(None, Decimal("3.974"), "AAPL") == "stop 3.9740"
        assert [format_with_unit(count, Unit.SHARES) for count in (1, 2)] == ["1 contract", "2 contracts"]
        assert in_units("all shares entered") == "all contracts entered"
        assert in_units("0 shares against 1 share, a share of 3%") == "0 contracts against 1 contract, a share of 3%"
    finally:
        show_traded("share", {})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234.5", "[green]+1,234.50 USD[/]"),
        ("-0.006", "[red]-0.01 USD[/]"),
        ("0.004", "+0.00 USD"),
        ("-0.004", "+0.00 USD"),
        ("0", "+0.00 USD"),
    ],
)
def test_gain_is_green_loss_red_and_zero_plain(amount: str, text: str) -> None:
    assert gain(Decimal(amount), " USD") == text
    assert color_by_sign(Decimal(amount), "") == ""


def test_counted_noun_agrees_with_its_number() -> None:
    assert [pluralize(n, "position") for n in (0, 1, 1204)] == ["0 positions", "1 position", "1,204 positions"]
    assert [pluralize(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
    kinds = ["strategies", "passes", "files of the folder", "list of open orders", "of 2 answers", "slots and claims"]
    assert [counted_kind(1, kind) for kind in kinds] == [
        "1 strategy",
        "1 pass",
        "1 file of the folder",
        "1 list of open orders",
        "1 of 2 answers",
        "1 of slots and claims",
    ]
    assert counted_kind(2, "passes") == "2 passes"


PATH = "/" + "a-long-name/" * 12 + "state"


PROSE = "a sentence of many short words, which is told in as many lines as it takes"


WHOLE = [PATH, f"tradebot status --state-dir {PATH}", f"tradebot status --state-dir '{PATH} of mine'"]


def in_table(text: str) -> Table:
    table = Table("name", sentence("told"))
    table.row("name", text)
    return table


@pytest.mark.parametrize("whole", WHOLE)
def test_path_or_command_is_never_wrapped(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in (f"{PROSE}: {whole}", in_table(f"{PROSE}: {whole}")):
        Screen(width=40).print(text)
        assert whole in capsys.readouterr().out


UNBROKEN = (
    "tradebot restore --state-dir 'my bot' 20261121T070105Z-by-hand",
    "tradebot exchange faults add lost-reply",
    'tradebot unhalt --override --reason "the feed is back"',
    "tradebot adopt BRK.B --manage",
    "mv state/HALT state/HALT.aside",
    "chmod u+rwx state",
)


@pytest.mark.parametrize("command", UNBROKEN)
@pytest.mark.parametrize("width", [40, 41, 47, 60])
def test_a_command_is_never_broken_in_its_middle(command: str, width: int) -> None:
    text = f"error: something is in the way of it\n  next: look at what it says, then {command}, and once more"
    lines = wrapped_plain(text, width).splitlines()
    assert [line for line in lines if command in line], lines
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert all(len(line) <= width for line in lines if command not in line)


def test_further_lines_are_indented_under_the_first() -> None:
    assert wrapped_plain("error: one two three four\n  next: five six seven eight", 16) == (
        "error: one two\n  three four\n  next: five six\n    seven eight"
    )


def test_an_error_is_wrapped_where_a_width_is_known_and_left_alone_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OperatorError("what happened, and why, in a sentence that is longer than a line", "tradebot status")
    print_error(error)
    assert capsys.readouterr().err.count("\n") == 2, "a pipe has no width"
    monkeypatch.setenv("COLUMNS", "50")
    print_error(error)
    assert capsys.readouterr().err == (
        "error: what happened, and why, in a sentence that\n  is longer than a line\n  next: tradebot status\n"
    )
    assert not sys.stderr.isatty()


def test_the_slot_of_a_pass_outside_the_timetable_is_named_in_the_readers_time() -> None:
    at = datetime(2026, 11, 16, 21, 0, 1, tzinfo=UTC)
    assert slot_for_reader("at 21:00:00Z", at) == "at 16:00:00 ET"
    assert slot_for_reader("open+90m#2", at) == "open+90m#2"
    assert slot_for_reader("at 99:00:00Z", at) == "at 99:00:00Z", "foreign text that only looks like a time"
    show_utc(True)
    try:
        assert slot_for_reader("flatten 21:00:00Z", at) == "flatten 21:00:00 UTC"
    finally:
        show_utc(False)


def test_note_of_an_override_names_the_accepted_causes_and_time() -> None:
    at = datetime(2026, 11, 16, 16, 2, tzinfo=UTC)
    accepted = Override(frozenset({Reason.DRAWDOWN_REACHED, Reason.DAILY_LOSS_HALT}), at)
    state = TradingStateRecord(TradingState.ACTIVE, "ada", "override: seen", at, override=accepted)
    shown = "override: seen (DAILY_LOSS_HALT, DRAWDOWN_REACHED accepted, as of 2026-11-16 16:02:00 UTC)"
    assert why_in_state(state) == shown
    assert why_in_state(replace(state, override=None)) == "override: seen", "words alone accept nothing"


KEPT = Path(__file__).with_name("versions.txt")


ADVICE = """The fields of these documents changed. If one was renamed or removed, raise the document's version in
commands/shared/light_helpers.py and add the line below to tests/commands/shared/versions.txt; if fields were
only added, replace the document's last line."""


def fields(schema: Any, known: dict[str, Any], path: str = "", within: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the path of every field that a document must have; a type that contains itself is followed once."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields(each, known, path, within)
    elif isinstance(schema, dict):
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in within:
            yield from fields(known[name], known, path, within | {name})
        for required in schema.get("required", ()):
            yield f"{path}.{required}"
            yield from fields(schema["properties"][required], known, f"{path}.{required}", within)
        for parts in ("anyOf", "prefixItems", "items", "additionalProperties"):
            yield from fields(schema.get(parts), known, path, within)


def form(name: str) -> str:
    """Return a document's name, version, and the fingerprint of its fields."""
    document = answer_schema(name)
    found = "\n".join(sorted(set(fields(document, document["$defs"]))))
    version = document["properties"]["schema"]["const"].rpartition("/")[2]
    return f"{name} {version} {hashlib.sha256(found.encode()).hexdigest()[:12]}"


def test_document_fields_change_only_with_the_version() -> None:
    kept = {line.split()[0]: line for line in KEPT.read_text().splitlines()}
    changed = [line for line in map(form, DATA) if kept.get(line.split()[0]) != line]
    assert not changed, "\n".join([ADVICE, *changed])
    assert kept.keys() == DATA.keys()


def test_every_version_of_a_document_has_fields_of_its_own() -> None:
    lines = [tuple(line.split()) for line in KEPT.read_text().splitlines()]
    versions = {name: [int(version) for other, version, _ in lines if other == name] for name, _, _ in lines}
    assert versions == {name: list(range(1, int(VERSIONS[name]) + 1)) for name in DATA}
    assert len({(name, fields) for name, _, fields in lines}) == len(lines), "a version was raised for nothing"


def ask(given: str | None, *, by_hand: bool) -> None:
    confirm("1234", given, what="Ending the halt", command="tradebot unhalt", by_hand=by_hand)


def test_confirm_option_is_enough_without_real_money() -> None:
    ask("1234", by_hand=False)


@pytest.mark.parametrize("given", ["", "123", "1234 ", "yes"])
def test_wrong_confirmation_is_refused(given: str) -> None:
    with pytest.raises(OperatorError) as refused:
        ask(given, by_hand=False)
    assert refused.value.code is ExitCode.REFUSED


@pytest.mark.parametrize("given", [None, "1234"])
def test_real_money_needs_a_terminal_whatever_the_command_line_says(given: str | None) -> None:
    with pytest.raises(OperatorError, match="needs a person at a terminal") as refused:
        ask(given, by_hand=True)
    assert refused.value.code is ExitCode.USAGE


D = Decimal
NEAR, FAR = (
    Liquidation("PF_XBTUSD", D("0.10213"), D("26936.03"), D(30_000)),
    Liquidation("PF_ETHUSD", D("0.5"), D("1500")),
)
PAID = Liquidation("PF_SOLUSD", D(1), None)
MARGIN = AccountMargin(NOW, D(900), D("0.18"), D(450), D("0.09"), D("4100.5"), (NEAR, FAR, PAID))


def shown(margin: AccountMargin | None, most: int | None = None) -> list[str]:
    out = io.StringIO()
    show_margin(Console(file=out, width=200), margin, most)
    return out.getvalue().splitlines()


def test_the_margin_is_shown_with_every_liquidation() -> None:
    first, second = shown(MARGIN)
    assert first == (
        "Margin 900.00 USD (18.00% of equity) in use, 450.00 USD (9.00% of equity) to keep the positions, "
        "4,100.50 USD available, at 2026-11-16 10:00:00 ET"
    )
    assert second == (
        "  liquidated by the broker: PF_XBTUSD at 26,936.03, 10.21% away (mark 30,000.00); "
        "PF_ETHUSD at 1,500.00, 50.00% away; "
        "PF_SOLUSD has no liquidation price of its own"
    )


def test_a_screen_may_show_the_nearest_alone() -> None:
    assert shown(MARGIN, 1)[1:] == ["  liquidated by the broker: PF_XBTUSD at 26,936.03, 10.21% away (mark 30,000.00)"]


def test_no_liquidation_price_is_shown_while_the_margin_is_unknown() -> None:
    assert shown(replace(MARGIN, initial_usd=None, initial_fraction=None))[1:] == [
        "  liquidated by the broker: at unknown prices, because the margin is unknown"
    ]


def test_what_the_broker_did_not_tell_is_unknown() -> None:
    silent = replace(MARGIN, maintenance_usd=None, maintenance_fraction=None, available_usd=None, liquidations=())
    (line,) = shown(silent)
    assert "unknown to keep the positions, unknown available" in line
