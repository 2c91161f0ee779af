"""What a command tells of the hours of a training, as a number."""

import re

_HOURS = {"s": 1 / 3600, "min": 1 / 60, "h": 1, "days": 24}


def hours_of(line):
    """Hours of a run, from the line that predicts its time."""
    number, unit = re.search(r" a step, ([\d.]+) (s|min|h|days) for ", line).groups()
    return float(number) * _HOURS[unit]
