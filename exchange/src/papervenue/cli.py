"""`papervenue`: serve an exchange to any client of its venue.

Other commands inspect the exchange, advance its clock, inject faults, and reset it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from papervenue import process
from papervenue.clock import read_latency, read_pace
from papervenue.commands.control import MAIN_KEY
from papervenue.faces.face import Login
from papervenue.faults import fault_table
from papervenue.faults.kinds import read_duration
from papervenue.market.bar_files import is_parquet
from papervenue.market.coins import SYMBOLS, kraken_venue
from papervenue.market.futures import ROOTS, futures_venue
from papervenue.market.spec import MODELS, OPTIMISM, MarketError, MarketSpec, default_symbols, fill_spec, reading_of
from papervenue.market.venue import ALPACA, Venue
from papervenue.state import MARKET_FILE, read_market
from papervenue.times import SECOND

DONE, ERROR, USAGE, HELD, REFUSED = 0, 1, 2, 6, 2
VENUES = ("alpaca", "kraken", "ibkr")
FACES = {"kraken": "kraken", "tws": "ibkr"}
"""The venue of an API, as the command line names it; an exchange with none of these APIs is Alpaca's."""
ACTIONS = ("list", "add", "clear", "show", "ready")
FAULTS = "/exchange/v1/faults"
SHARES = 21
"""How many symbols a new market lists; all of them are well known."""
A_WEEK = timedelta(days=7)
_LONGEST_SCRIPT = 64 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except process.FolderInUseError as held:
        return _print_error(str(held), "use the running exchange, or stop it", HELD)
    except MarketError as error:
        return _print_error(error.message, error.hint, REFUSED)
    except OSError as error:
        return _print_error(f"{error.filename or chosen.folder} can't be used: {error.strerror}", "", ERROR)
    return DONE


def _print_error(message: str, hint: str, code: int) -> int:
    print(f"error: {message}", *([f"next: {hint}"] if hint else []), sep="\n", file=sys.stderr)
    return code


def _serve(chosen: argparse.Namespace) -> None:
    """Serve the folder's exchange until Ctrl-C; create it first if the folder has none."""
    from papervenue import server

    try:
        pace, latency_us = read_pace(chosen.time), chosen.latency and read_latency(chosen.latency)
    except ValueError as error:
        raise MarketError(str(error), "papervenue serve --help") from error
    scripts = tuple(_script(name) for name in chosen.faults)
    terms = server.Terms(pace, chosen.rate_limit, tuple(chosen.account), scripts, latency_us)
    if not (chosen.folder / MARKET_FILE).exists():
        process.create(chosen.folder, _market(chosen))
    elif chosen.venue not in (None, folder_venue := _venue_in(chosen.folder)):
        raise MarketError(
            f"the market in {chosen.folder} belongs to {folder_venue}",
            f"papervenue serve --as {folder_venue}, or use another --folder for {chosen.venue}",
        )
    server.serve(
        chosen.folder, chosen.port, None, ready=lambda url, status: _print_served(chosen, url, status), terms=terms
    )


def _venue_in(folder: Path) -> str:
    return next((FACES[face] for face in read_market(folder).spec.venue.faces if face in FACES), "alpaca")


def _market(chosen: argparse.Namespace) -> MarketSpec:
    """Return the market to create; one in real time begins a week ago, so that it is open on any day."""
    begun = A_WEEK if chosen.time == "real" else timedelta()
    start = chosen.start or datetime.now(UTC).date() - begun
    symbols, venue = tuple(chosen.symbols), _venue(chosen, start)
    listed = tuple(instrument.symbol for instrument in venue.instruments) or symbols
    if not listed and chosen.bars is None:
        listed = default_symbols(SHARES)
    recorded: dict[str, Any] = {}
    if chosen.bars is not None:
        reading, source = reading_of(chosen.bars_as), "parquet" if is_parquet(Path(chosen.bars)) else "csv"
        recorded = {"source": source, "path": chosen.bars, "reading": reading}
    return MarketSpec(
        start=start, sessions=chosen.sessions, seed=chosen.seed, cash=chosen.cash, venue=venue,
        symbols=listed, fill=fill_spec(chosen.fill), bar_stamp=chosen.bar_stamp, **recorded,
    )  # fmt: skip


def _venue(chosen: argparse.Namespace, start: date) -> Venue:
    if chosen.venue == "kraken":
        _need_known(chosen.symbols, SYMBOLS, "perpetual")
        return kraken_venue(chosen.seed, chosen.symbols or SYMBOLS)
    if chosen.venue == "ibkr":
        _need_known(chosen.symbols, ROOTS, "root")
        return futures_venue(start, chosen.sessions, chosen.symbols or tuple(ROOTS))
    return ALPACA


def _need_known(symbols: Sequence[str], names: Sequence[str] | Mapping[str, object], what: str) -> None:
    unknown = [symbol for symbol in symbols if symbol not in names]
    if unknown:
        raise MarketError(f"there is no {what} {unknown[0]}", f"choose from {', '.join(names)}")


def _print_served(chosen: argparse.Namespace, url: str, status: Mapping[str, Any]) -> None:
    if chosen.json:
        print(json.dumps({"url": url, "folder": str(chosen.folder)} | dict(status)), flush=True)
        return
    model = status["market"]["fill"]["model"]
    lines = [
        f"The exchange in {chosen.folder} answers at {url} until Ctrl-C",
        *_logins(status, secrets=True),
        f"  in a browser: {url}/",
        f"  {model} fills are optimistic: {OPTIMISM[model]}",
        _now(status),
    ]
    if status["pace"] == "step":
        lines.append("  its clock stands still until you run: papervenue tick 5m")
    print(*lines, sep="\n", flush=True)


def _logins(status: Mapping[str, Any], *, secrets: bool) -> Iterator[str]:
    for api in sorted(status["apis"], key=lambda api: api["login"] == Login.BEARER):
        port = status["ports"].get(api["name"])
        yield f"  {api['title']}" + (f": host 127.0.0.1, port {port}" if port else "")
        for name, secret in api["secrets"].items() if secrets else ():
            key = next(row["key"] for row in status["accounts"] if row["name"] == name)
            yield f"    key {key}, secret {secret}: account {name}"
        if secrets and api["login"] == Login.BEARER:
            yield f"    Authorization: Bearer {MAIN_KEY}"


def _now(status: Mapping[str, Any]) -> str:
    if status["finished"]:
        return f"  {status['now']}: the market's last session is over; choose another --folder"
    state = f"open until {status['next_close']}" if status["is_open"] else f"closed until {status['next_open']}"
    return f"  {status['now']}: {state}"


def _tick(chosen: argparse.Namespace) -> None:
    """Move time forward, to a moment or by a duration."""
    step = chosen.step
    if step in ("open", "close", "next_open") or "T" in step:
        body: dict[str, object] = {"to": step}
    else:
        try:
            body = {"seconds": read_duration(step) / SECOND}
        except ValueError as error:
            why = f"can't read {step[:20]!r} as a time step"
            raise MarketError(why, "write 90s, 5m, 2h, open, close, next_open or 2026-11-16T21:00Z") from error
    status = _query_exchange(chosen, "POST", "/exchange/v1/tick", body)
    _print(chosen, status, lambda: [_now(status).strip()])


def _status(chosen: argparse.Namespace) -> None:
    """Show address, time, accounts and faults."""
    status = _query_exchange(chosen, "GET", "/exchange/v1/status")
    rows = [
        f"  account {row['name']}: equity {row['equity']}, cash {row['cash']}, positions: {row['positions']}, "
        f"orders: {row['orders']} (open: {row['open_orders']})"
        for row in status["accounts"]
    ]
    armed = f"  faults armed: {', '.join(status['faults']) or 'none'}"
    head = f"The exchange in {chosen.folder} answers at {process.server_address(chosen.folder)}"
    _print(chosen, status, lambda: [head, *_logins(status, secrets=False), _now(status), *rows, armed])


def _faults(chosen: argparse.Namespace) -> None:
    """List, add, clear or show faults."""
    action, name = chosen.action, chosen.name
    if action == "ready":
        ready = {each: fault_table.summary_of(each) for each in fault_table.names()}
        _print(chosen, ready, lambda: [f"{each:<24} {summary}" for each, summary in ready.items()])
    elif action == "show":
        text = fault_table.text_of(name or "") or fault_table.describe_fault(name or "")
        if text is None:
            raise MarketError(f"no script or fault is called {(name or '')[:40]!r}", "papervenue faults ready")
        _print(chosen, {"script": text}, lambda: [text.rstrip()])
    else:
        if action == "add":
            _query_exchange(chosen, "POST", FAULTS, {"script": _script(name or "-")})
        elif action == "clear":
            _query_exchange(chosen, "DELETE", f"{FAULTS}/{name}" if name else FAULTS)
        armed = _query_exchange(chosen, "GET", FAULTS)["faults"]
        _print(chosen, armed, lambda: [_rule(row) for row in armed] or ["No faults are armed."])


def _rule(row: Mapping[str, Any]) -> str:
    return f"{row['name']}: when {json.dumps(row['when'])}, {json.dumps(row['what'])}; fired {row['fired']}"


def _reset(chosen: argparse.Namespace) -> None:
    """Reset an account to its starting cash under a new number, without orders and positions."""
    body = {"account": chosen.account} | ({} if chosen.cash is None else {"cash": str(chosen.cash)})
    row = _query_exchange(chosen, "POST", "/exchange/v1/reset", body)
    _print(chosen, row, lambda: [f"Account {row['name']} has number {row['account_number']} and {row['cash']} cash"])


def _page(chosen: argparse.Namespace) -> None:
    """Print the address of the web page."""
    url = process.ensure_running(chosen.folder).url + "/"
    _print(chosen, {"url": url}, lambda: [url])


def _query_exchange(
    chosen: argparse.Namespace, method: str, path: str, body: Mapping[str, object] | None = None
) -> Any:
    """Ask the folder's exchange, started in the background if need be; raise MarketError if it refuses."""
    process.ensure_running(chosen.folder)
    return process.ask(chosen.folder, method, path, body)


def _script(name: str) -> str:
    """Return a script: a ready-made one by its name, a file's content, or for `-` standard input."""
    if name == "-":
        return sys.stdin.read(_LONGEST_SCRIPT)
    ready = fault_table.text_of(name)
    return Path(name).read_text(encoding="utf-8-sig")[:_LONGEST_SCRIPT] if ready is None else ready


def _print(chosen: argparse.Namespace, document: object, lines: Callable[[], Sequence[str]]) -> None:
    print(json.dumps(document) if chosen.json else "\n".join(lines()))


def _account(text: str) -> tuple[str, Decimal | None]:
    name, _, cash = text.partition("=")
    return name, _cash(cash) if cash else None


def _cash(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} isn't an amount") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="papervenue", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        argument_parser = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
        argument_parser.set_defaults(run=run)
        argument_parser.add_argument("--folder", type=Path, default=Path("papervenue"), help="the exchange's folder")
        argument_parser.add_argument("--json", action="store_true", help="print one JSON document")
        return argument_parser

    serve = verb("serve", _serve)
    serve.add_argument("--as", dest="venue", choices=VENUES, help="venue whose APIs to offer [alpaca for a new market]")
    serve.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; by default a free one")
    serve.add_argument("--time", default="step", help="step (only by papervenue tick), real, or a factor such as 60x")
    serve.add_argument("--symbols", nargs="+", default=(), metavar="SYMBOL", help="symbols of a new market")
    serve.add_argument("--start", type=date.fromisoformat, metavar="DAY", help="first day of a new market")
    serve.add_argument("--sessions", type=int, default=60, help="how many sessions a new market has")
    serve.add_argument("--seed", type=int, default=7, help="a different seed generates different prices")
    serve.add_argument("--bars", metavar="FILE", help="play recorded minutes, CSV or Parquet")
    serve.add_argument("--bars-as", action="append", default=[], help="how to read the file, such as zone=UTC")
    serve.add_argument(
        "--bar-stamp", choices=("start", "end"), help="whether minutes are stamped at their start or end"
    )
    serve.add_argument("--fill", choices=MODELS, default="paper", help="how orders of a new market fill")
    serve.add_argument("--cash", type=_cash, default=Decimal(100_000), help="cash of a new market's accounts")
    serve.add_argument("--account", type=_account, action="append", default=[], help="NAME or NAME=CASH; may repeat")
    serve.add_argument("--faults", action="append", default=[], metavar="SCRIPT", help="arm a fault script")
    serve.add_argument("--latency", help="how long cancels take: instant, paper, slow, 250ms, 2s")
    serve.add_argument("--rate-limit", type=int, help="requests per minute for each key")
    verb("tick", _tick).add_argument("step", nargs="?", default="5m", help="5m, open, close, next_open, or a time")
    verb("status", _status)
    faults = verb("faults", _faults)
    faults.add_argument("action", nargs="?", default="list", choices=ACTIONS)
    faults.add_argument("name", nargs="?", help="a script's file, a ready-made name, a rule, or - for stdin")
    reset = verb("reset", _reset)
    reset.add_argument("account", nargs="?", default="main")
    reset.add_argument("--cash", type=_cash, help="starting cash; by default the same as before")
    verb("page", _page)
    return parser


if __name__ == "__main__":
    sys.exit(main())
