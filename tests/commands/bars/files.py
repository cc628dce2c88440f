"""CSV files of bars."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

HEADER = "ts,symbol,open,high,low,close,volume"
NEW_YORK = ZoneInfo("America/New_York")


def written(path: Path, rows: Sequence[str]) -> Path:
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def session_minutes(symbol: str, day: str, *, moved: timedelta = timedelta(0)) -> list[str]:
    opens = datetime.fromisoformat(f"{day} 09:30")
    starts = (opens + timedelta(minutes=place) + moved for place in range(390))
    return [f"{start},{symbol},100,101,99,100,1000" for start in starts]
