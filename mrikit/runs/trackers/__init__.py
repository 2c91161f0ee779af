"""Trackers, one file for each service."""
