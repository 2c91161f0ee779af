"""All safety rules that an estate must satisfy.

A rule is a function from an estate to the lines that say what breaks it. They are written against Azure's own property
names, so they hold for any program, and know nothing of how this one is written.
"""

from collections.abc import Callable, Iterator

from .accounts import (
    accounts_have_no_keys,
    azure_ml_keeps_its_studio,
    deleted_data_can_be_had_back,
    rewritten_data_is_not_kept_for_long,
    traffic_is_encrypted,
)
from .factory import the_factory_is_whole
from .identities import nobody_has_a_password, people_see_logs, rights_are_narrow, services_come_as_themselves
from .keeping import a_lock_goes_before_what_it_holds, what_cannot_be_made_again_is_protected
from .names import everything_is_tagged, names_are_unique, names_are_valid
from .networks import (
    a_managed_network_lets_out_to_what_is_approved,
    endpoints_come_one_after_the_other,
    endpoints_have_a_registry_that_knows_them,
    networks_are_closed,
    nodes_and_people_reach_the_vault,
    nodes_have_no_security_group_of_ours,
    private_means_private,
)
from .resources import Estate
from .secrecy import nothing_is_secret
from .spending import a_budget_warns, a_spent_budget_stops_every_cluster, idle_clusters_cost_nothing

Rule = Callable[[Estate], Iterator[str]]

RULES: tuple[Rule, ...] = (
    accounts_have_no_keys,
    traffic_is_encrypted,
    networks_are_closed,
    deleted_data_can_be_had_back,
    rewritten_data_is_not_kept_for_long,
    azure_ml_keeps_its_studio,
    services_come_as_themselves,
    people_see_logs,
    nobody_has_a_password,
    idle_clusters_cost_nothing,
    private_means_private,
    rights_are_narrow,
    everything_is_tagged,
    nothing_is_secret,
    the_factory_is_whole,
    a_budget_warns,
    nodes_have_no_security_group_of_ours,
    nodes_and_people_reach_the_vault,
    endpoints_come_one_after_the_other,
    a_managed_network_lets_out_to_what_is_approved,
    endpoints_have_a_registry_that_knows_them,
    what_cannot_be_made_again_is_protected,
    a_lock_goes_before_what_it_holds,
    a_spent_budget_stops_every_cluster,
    names_are_valid,
    names_are_unique,
)
