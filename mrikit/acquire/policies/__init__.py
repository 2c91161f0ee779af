"""Policies: which line to measure next, one file each."""

from mrikit.acquire.policies.equispaced import Equispaced
from mrikit.acquire.policies.evaluator import LowestScore, load_evaluator
from mrikit.acquire.policies.fixed_order import FixedOrder, order_of_probabilities, read_order
from mrikit.acquire.policies.low_biased import RandomLowBiased
from mrikit.acquire.policies.low_to_high import LowToHigh
from mrikit.acquire.policies.nonadaptive_oracle import greedy_order
from mrikit.acquire.policies.oracle import OneStepOracle, ScoreMasks
from mrikit.acquire.policies.policy import Observation, Policy, line_chances
from mrikit.acquire.policies.random_line import RandomLine

__all__ = [
    "Equispaced",
    "FixedOrder",
    "LowToHigh",
    "LowestScore",
    "Observation",
    "OneStepOracle",
    "Policy",
    "RandomLine",
    "RandomLowBiased",
    "ScoreMasks",
    "greedy_order",
    "line_chances",
    "load_evaluator",
    "order_of_probabilities",
    "read_order",
]
