"""Print the sessions of Globex as pandas_market_calendars knows them, by our names of the groups."""

import json
import sys

from pandas_market_calendars import get_calendar

NAMES = {"globex_equity": "CME Globex Equity", "globex_metals": "CMEGlobex_GC", "globex_currency": "CMEGlobex_FX"}
told = {}
for group, name in NAMES.items():
    schedule = get_calendar(name).schedule("2026-01-01", "2027-12-31")
    rows = zip(schedule.index, schedule["market_open"], schedule["market_close"], strict=True)
    told[group] = [[day.strftime("%Y-%m-%d"), begin.isoformat(), end.isoformat()] for day, begin, end in rows]
sys.stdout.write(json.dumps({"steps": list(told.items())}) + "\n")
