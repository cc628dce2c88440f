"""The timetable: times as people write them in the configuration, and the sessions they belong to."""
