"""`mrikit acquire`: volumes to images by a policy that chooses which line to measure next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.natural import require_writable
from mrikit.commands.places import AS_LOCATION, Location, weights_of
from mrikit.commands.reconstruct import Device, HeldOut, Patients, Shard, next_of, own_device, require_held_out, run

if TYPE_CHECKING:
    from mrikit.reconstruct import Routing


def acquire(
    data: Annotated[
        Location,
        typer.Option(**AS_LOCATION, help="Folder of fully sampled volumes, or one file; a path or az://."),
    ],
    out: Annotated[
        Location,
        typer.Option(**AS_LOCATION, help="Folder for the reconstructions, or az://. Finished volumes in it are kept."),
    ],
    weights: Annotated[
        Location | None,
        typer.Option(**AS_LOCATION, help="Run of `mrikit train --task knee_acquire`: its policy and reconstructor."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="A policy that nobody has to train: random, random_low_biased, low_to_high, equispaced, fixed_order, "
            "nonadaptive_oracle, oracle, or evaluator of a run that trained one."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the policy, such as num_samples=20; repeatable.")
    ] = None,
    reconstructor: Annotated[
        str | None,
        typer.Option(
            help="What makes images: a classical method, zero_filled by default, or the run of a network. With "
            "--weights the one that the policy was learned with, where its own run does not hold it."
        ),
    ] = None,
    given: Annotated[
        int | None, typer.Option(help="With --policy: lines in the middle that are measured before the first decision.")
    ] = None,
    budget: Annotated[int | None, typer.Option(help="With --policy: lines that are chosen.")] = None,
    is_held_out: HeldOut = False,
    patients: Patients = None,
    shard: Shard = None,
    device: Device = "auto",
) -> None:
    """Acquire line by line and reconstruct every volume of DATA that OUT does not hold yet."""
    from mrikit.storage import mirrored, named_as_locations, pulled

    require_writable(out)
    require_held_out(patients, is_held_out=is_held_out)
    words = {"--set": settings, "--reconstructor": reconstructor, "--given": given, "--budget": budget}
    _require_one(weights, policy, words)

    with named_as_locations():
        on = own_device(device)
        if weights is not None:
            from mrikit.acquire.using import trained_routing

            routing = trained_routing(pulled(weights, weights_of), on, _local(reconstructor))
        else:
            routing = _named(data, policy or "", settings or [], reconstructor, given or 0, budget or 0, on)
        with mirrored(out) as place:
            table = None if patients is None else pulled(patients)
            run(data, place, routing, device, shard=shard, is_held_out=is_held_out, patients=table, on_end=next_of(out))


def _require_one(weights: Location | None, policy: str | None, words: Mapping[str, object]) -> None:
    """Refuse both a trained policy and one by name, and neither, and what is for the other kind."""
    from mrikit.errors import ConfigError

    if (weights is None) == (policy is None):
        found = "both" if policy is not None else "neither"
        raise ConfigError(f"a policy is that of a run, --weights RUN, or one by name, --policy NAME; found {found}")
    given = [word for word, value in words.items() if value is not None and word != "--reconstructor"]
    if weights is not None and given:
        raise ConfigError(f"{weights} says what its policy is for; leave out {' and '.join(given)}")
    missing = [word for word in ("--given", "--budget") if words[word] is None]
    if policy is not None and missing:
        raise ConfigError(f"--policy {policy} needs {' and '.join(missing)}, numbers of lines")


def _named(
    data: Location,
    policy: str,
    settings: list[str],
    reconstructor: str | None,
    given: int,
    budget: int,
    device: str,
) -> "Routing":
    from mrikit.acquire.using import NamedPolicy, named_routing
    from mrikit.config import parse_assignments

    named = NamedPolicy(
        policy=policy,
        policy_config=parse_assignments(settings),
        reconstructor="zero_filled" if reconstructor is None else _local(reconstructor) or "",
        num_given=given,
        budget=budget,
    )
    return named_routing(named, data, device)


def _local(reconstructor: str | None) -> str | None:
    """A name as it is, a path as it is, and of az:// a copy."""
    from mrikit.storage import BlobPath, parse_location, pulled

    where = None if reconstructor is None else parse_location(reconstructor)
    return str(pulled(where, weights_of)) if isinstance(where, BlobPath) else reconstructor
