"""The Azure estate as commands see it: what its program would declare, what that costs, and what holds of it."""
