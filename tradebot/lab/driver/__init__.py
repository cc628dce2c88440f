"""A backtest: the same passes as on any day, on past prices, in the order and at the times of the timetable."""
