"""Recipes: whole training runs by task and size, each a function that returns a RunConfig."""

from mrikit.recipes.tasks import SIZES, TASKS, recipe

__all__ = ["SIZES", "TASKS", "recipe"]
