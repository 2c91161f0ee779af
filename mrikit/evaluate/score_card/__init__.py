"""The score card: a frozen score of public volumes, which two groups compute alike without a server."""

from mrikit.evaluate.score_card.card import make_card
from mrikit.evaluate.score_card.needed import FrozenList, Needed, find_needed, read_frozen_list, volume_name
from mrikit.evaluate.score_card.page import CARD_FILE, PAGE_FILE, interval_words, write_card
from mrikit.evaluate.score_card.rule import PLANS, RULE, SHARE, is_chosen, reconstruct_words

__all__ = [
    "CARD_FILE",
    "PAGE_FILE",
    "PLANS",
    "RULE",
    "SHARE",
    "FrozenList",
    "Needed",
    "find_needed",
    "interval_words",
    "is_chosen",
    "make_card",
    "read_frozen_list",
    "reconstruct_words",
    "volume_name",
    "write_card",
]
