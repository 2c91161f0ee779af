"""Slurm back end."""
