"""Provide clocks, calendars and the pace of `serve`."""
