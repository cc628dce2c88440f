"""The tape on the page: fills as the log has them, and market moves as the data API has them."""

from decimal import Decimal

from exchange.tests.kit.app import World
from papervenue.page.document import MOST_FILLS, MOST_MOVES

DATA = "/exchange/v1/page"


def test_fills_are_those_of_the_log_newest_first(trading: World) -> None:
    order = trading.order("SPY", "sell", 3).json["id"]
    trading.order("AAPL", "buy", 2)
    trading.tick(seconds=120)
    fills = [row for row in trading.get(DATA)["tape"] if row["kind"] == "fill"]
    logged = [(line["symbol"], line["fill_qty"], line["price"]) for line in reversed(trading.logged("fill"))]
    assert [(row["symbol"], row["qty"], row["price"]) for row in fills] == logged
    (sold,) = [row for row in fills if row["symbol"] == "SPY"]
    assert (sold["order"], sold["side"], sold["account"], sold["event"]) == (order, "sell", "main", "fill")


def test_each_minute_shows_the_largest_move_of_the_shown_symbols(trading: World) -> None:
    page = trading.get(DATA)
    moves = [row for row in page["tape"] if row["kind"] == "move"]
    assert len(moves) == len({row["at"] for row in moves}) > 5
    assert [row["at"] for row in moves] == sorted((row["at"] for row in moves), reverse=True)
    symbols = ",".join(row["symbol"] for row in page["book"])
    bars = trading.get(f"/v2/stocks/bars?symbols={symbols}&timeframe=1Min&start=2025-03-03&limit=1000")["bars"]
    closes = {symbol: {bar["t"]: bar["c"] for bar in rows} for symbol, rows in bars.items()}
    assert (moves[0]["at"], page["clock"]["time"]) == ("09:40:00", "09:40:00")
    for move in moves:
        # Moves are shown at the end of their minute, in New York's time; bars are stamped at its start, in UTC.
        minute = 14 * 60 + int(move["at"][3:5]) - 1
        before, at = (f"2025-03-03T{one // 60:02}:{one % 60:02}:00Z" for one in (minute - 1, minute))
        changes = {
            symbol: rows[at] / rows[before] - 1 for symbol, rows in closes.items() if {before, at} <= rows.keys()
        }
        largest = max(changes, key=lambda symbol: abs(changes[symbol]))
        assert move["symbol"] == largest
        assert abs(float(move["change"]) - changes[largest]) < 1e-6
        assert Decimal(move["price"]) == Decimal(str(closes[largest][at]))


def test_tape_is_empty_before_the_first_session_and_bounded_later(world: World) -> None:
    assert world.get(DATA)["tape"] == []
    world.tick(to="open")
    for _ in range(MOST_FILLS + 5):
        world.order("SPY", "buy", 1)
    world.tick(seconds=3600)
    kinds = [row["kind"] for row in world.get(DATA)["tape"]]
    assert (kinds.count("fill"), kinds.count("move")) == (MOST_FILLS, MOST_MOVES)


def test_what_the_venue_announces_is_on_the_tape_of_everybody(trading: World) -> None:
    split = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1}
    assert trading.ask("POST", "/exchange/v1/actions", split).status == 200
    trading.tick(to="next_open")
    (news,) = [row for row in trading.get(DATA)["tape"] if row["kind"] == "news"]
    assert (news["event"], news["account"]) == ("corporate_action", "")
    assert "AAPL" in news["about"]
