"""What runs when: the timetable and the session calendar."""
