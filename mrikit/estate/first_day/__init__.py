"""The first day of an estate: every way of it tried once."""
