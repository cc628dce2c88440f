"""Drive a backtest: run the same passes as on any trading day, at the timetable's times, but on past prices."""
