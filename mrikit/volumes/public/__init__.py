"""Readers of public data sets, one file each; `recognise.py` finds the right one."""
