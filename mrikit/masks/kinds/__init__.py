"""Kinds of masks, one file for each family, and their table."""

from mrikit.masks.kinds import center, fastmri, poisson, snu, variable_density
from mrikit.masks.kinds.kind import Budget, Drawn, Kind, Shape

__all__ = ["MASK_KINDS", "Budget", "Drawn", "Kind", "Shape"]

MASK_KINDS: dict[str, Kind] = {
    "random": Kind(draw=fastmri.random, summary="columns at random, the acceleration on average"),
    "equispaced": Kind(draw=fastmri.equispaced, summary="every R-th column, the centre added", has_whole_steps=True),
    "equispaced_fraction": Kind(draw=fastmri.equispaced_fraction, summary="even distances, with room for the centre"),
    "magic": Kind(draw=fastmri.magic, summary="every R-th column, the halves of k-space offset", has_whole_steps=True),
    "magic_fraction": Kind(draw=fastmri.magic_fraction, summary="as magic, with room for the centre"),
    "fixed": Kind(draw=snu.fixed, summary="every R-th column, through the middle one", has_whole_steps=True),
    "random_offset": Kind(draw=snu.random_offset, summary="every R-th column from a random one", has_whole_steps=True),
    "random_spaced": Kind(draw=snu.random_spaced, summary="one random column in every R", has_whole_steps=True),
    "center": Kind(draw=center.center, summary="the middle columns alone"),
    "variable_density": Kind(
        draw=variable_density.lines,
        summary="columns at random, denser towards the middle",
        settings=variable_density.LineSettings,
    ),
    "variable_density_2d": Kind(
        draw=variable_density.pattern,
        summary="points at random, denser towards the middle",
        settings=variable_density.PatternSettings,
        is_2d=True,
    ),
    "poisson_disc": Kind(
        draw=poisson.pattern,
        summary="points that keep a distance, denser towards the middle",
        settings=poisson.PoissonSettings,
        is_2d=True,
    ),
}
"""Name to kind: fastMRI's five, the SNU challenge's three, and ours."""
