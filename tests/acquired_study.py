"""Folders that `mrikit acquire` wrote, of policies that need no training."""

from mrikit.acquire.using import NamedPolicy, named_routing
from mrikit.evaluate import evaluate, write_scores
from mrikit.reconstruct import reconstruct_folder


def acquire_into(out, data, policy="low_to_high", num_given=4, budget=5, reconstructor="zero_filled", **settings):
    """The folder, acquired."""
    named = NamedPolicy(
        policy=policy, policy_config=settings, reconstructor=reconstructor, num_given=num_given, budget=budget
    )
    reconstruct_folder(data, out, named_routing(named, data))
    return out


def scored(out, data, policy="low_to_high", **options):
    """The folder, acquired and evaluated."""
    acquire_into(out, data, policy, **options)
    write_scores(out, evaluate(data, out))
    return out
