"""A backtest: the same passes as every other day, on past prices, in the order and at the times of the timetable."""
