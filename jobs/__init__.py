"""Run what `serve` does, when it is due: the timetable, claims of slots, and the runner."""
