"""Kinds of masks, one file for each family."""
