"""Kinds of masks, one file for each family, and their table."""

from mrikit.masks.kinds import center, episode, fastmri, gaussian, offset, poisson, snu, tiles, variable_density
from mrikit.masks.kinds.kind import Budget, Drawn, Kind, Shape

__all__ = ["MASK_KINDS", "Budget", "Drawn", "Kind", "Shape"]

MASK_KINDS: dict[str, Kind] = {
    "random": Kind(
        draw=fastmri.random,
        summary="columns at random, the acceleration on average",
        settings=offset.CenterSettings,
    ),
    "equispaced": Kind(
        draw=fastmri.equispaced,
        summary="every R-th column, the centre added",
        settings=offset.RegularSettings,
        has_whole_steps=True,
    ),
    "equispaced_fraction": Kind(
        draw=fastmri.equispaced_fraction,
        summary="even distances, with room for the centre",
        settings=offset.RegularSettings,
    ),
    "magic": Kind(
        draw=fastmri.magic,
        summary="every R-th column, the halves of k-space offset",
        settings=offset.MagicSettings,
        has_whole_steps=True,
    ),
    "magic_fraction": Kind(
        draw=fastmri.magic_fraction,
        summary="as magic, with room for the centre",
        settings=offset.MagicSettings,
    ),
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
    "gaussian": Kind(
        draw=gaussian.lines,
        summary="columns at random, as dense as a Gaussian around the middle",
        settings=gaussian.LineSettings,
    ),
    "gaussian_2d": Kind(
        draw=gaussian.pattern,
        summary="points at random, as dense as a Gaussian around the middle",
        settings=gaussian.PatternSettings,
        is_2d=True,
    ),
    "episode": Kind(
        draw=episode.lines,
        summary="any step of an acquisition: the middle, and a random number of lines around it",
        settings=episode.EpisodeSettings,
    ),
    "uniform": Kind(
        draw=tiles.uniform,
        summary="every R-th column, with or without an ACS",
        settings=tiles.UniformSettings,
        has_whole_steps=True,
    ),
    "uniform_2d": Kind(
        draw=tiles.uniform_2d,
        summary="every so many rows and columns, with or without an ACS",
        settings=tiles.LatticeSettings,
        is_2d=True,
        has_whole_steps=True,
    ),
    "caipirinha": Kind(
        draw=tiles.caipirinha,
        summary="as uniform_2d, each line shifted against the last",
        settings=tiles.CaipirinhaSettings,
        is_2d=True,
        has_whole_steps=True,
    ),
    "random_tile": Kind(
        draw=tiles.random_tile,
        summary="a tile of random samples that repeats, with or without an ACS",
        settings=tiles.RandomTileSettings,
        is_2d=True,
    ),
}
"""Name to kind: fastMRI's five, the SNU challenge's three, ours, that of active acquisition, and those of the
learned-sampling study."""
