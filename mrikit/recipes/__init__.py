"""Recipes: whole training runs by task, size and stage, each a function that returns a RunConfig."""

from mrikit.recipes.tasks import SIZES, TASKS, networks, recipe, recipes

__all__ = ["SIZES", "TASKS", "networks", "recipe", "recipes"]
