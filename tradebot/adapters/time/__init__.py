"""Clocks, calendars and the pace of `serve`."""
