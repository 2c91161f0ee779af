"""A trained run, scored on test data."""

from typing import TYPE_CHECKING

import typer

from mrikit.commands import evaluate, reconstruct
from mrikit.commands.places import Location, weights_of
from mrikit.commands.training_run import is_first, num_processes
from mrikit.launching.scoring import Scoring, scoring
from mrikit.words import in_shell

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig


def planned_test(
    config: "AnyRunConfig", run: Location, stage: int | None, data: Location | None, device: str
) -> Scoring | None:
    """How a run will be scored; what is wrong with the data is told before hours of training.

    Args:
        config: Of its last stage.
        run: Its folder.
        stage: The only stage that is trained; None for all.
        data: Volumes to test on; None to do without.
        device: As the user has named it.

    Raises:
        ConfigError: It makes no images.
        DataError: There is no volume.
    """
    if data is None:
        return None
    from mrikit.volumes import find_volumes

    test = scoring(config, run, stage, data, device)
    find_volumes(data)
    return test


def score_run(config: "AnyRunConfig", test: Scoring, device: str) -> None:
    """Reconstruct test data with all processes and score them with the first; what is done is skipped.

    Raises:
        MrikitError: See `mrikit.reconstruct.reconstruct_folder` and `mrikit.evaluate.evaluate`.
    """
    from mrikit.evaluate import score_files
    from mrikit.reconstruct import ReconstructConfig
    from mrikit.storage import mirrored, named_as_locations, pulled

    done = list[int]()
    with named_as_locations():
        made = ReconstructConfig(weights=pulled(test.weights, weights_of), mask=config.data.validation_plans[0])
        with mirrored(test.recon) as place:
            reconstruct.run(test.data, place, made, device, on_end=lambda summary: done.append(summary.num_volumes))
            is_scored = num_processes() == 1 and done == [0] and (place.folder / score_files(test.scorer)[0]).exists()
        if is_first() and num_processes() > 1:  # others may be slower, or have died: what they left is done here
            with mirrored(test.recon) as place:
                reconstruct.run(test.data, place, made, device, shard="1/1")
    if is_scored:
        typer.echo(f"scored before; next: {in_shell('report', test.recon)}")
    elif is_first():
        evaluate.evaluate([test.recon], test.data, test.scorer)
