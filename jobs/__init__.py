"""Run the jobs of `serve` when they are due: the timetable, the claims of slots, and the runner."""
