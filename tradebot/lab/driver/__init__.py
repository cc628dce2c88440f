"""Drive a backtest: the same passes as on any day, on past prices, at the times of the timetable."""
