"""What `serve` does and when: the timetable, claims of slots, and the runner."""
