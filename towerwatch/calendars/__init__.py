"""Deadlines that know when people work: limits, calendars as data, and the arithmetic between them."""
