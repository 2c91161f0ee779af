"""Published weights that can be imported: whose they are, under which terms, and what is known of their training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mrikit.models.published_promptmr import SOURCES as PROMPTMR_SOURCES


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One kind of published weights."""

    title: str
    """Whose network it is, in words."""
    model: str
    """The key of `mrikit.models.LEARNED` that they become."""
    citation: str
    """The paper or the code that they come from."""
    licence: str
    """The terms of the weights, as far as they are known."""
    training_data: str
    """What they were trained with, as far as it is known."""
    settings: Mapping[str, Any]
    """Settings of the network here that make it run as its authors ran it, which no tensor tells."""


_FASTMRI_LICENCE = (
    "The weights keep the licence of their authors. fastMRI's code is under the MIT licence; the data that the weights "
    "were trained with, NYU Langone's fastMRI data set, come with an agreement of their own."
)
_FASTMRI_DATA = "Raw k-space of the fastMRI data set, as whoever published the file says."
_PROMPTMR_LICENCE = (
    "The weights keep the licence of their authors: PromptMR and PromptMR+ are published for non-commercial use only. "
    "Importing them into mrikit does not change that."
)

SOURCES: Final[dict[str, Source]] = {
    "fastmri-varnet": Source(
        title="fastMRI's end-to-end variational network",
        model="varnet",
        citation="Sriram et al., End-to-end variational networks for accelerated MRI reconstruction, MICCAI 2020",
        licence=_FASTMRI_LICENCE,
        training_data=_FASTMRI_DATA,
        settings={"counts_stored_center": True},
    ),
    "fastmri-unet": Source(
        title="fastMRI's U-Net",
        model="unet",
        citation="Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839",
        licence=_FASTMRI_LICENCE,
        training_data=_FASTMRI_DATA,
        settings={"crops_before": True, "clamps_input": True},
    ),
    "adaptive-varnet": Source(
        title="fastMRI's Adaptive VarNet",
        model="adaptive_varnet",
        citation="Bakker et al., On learning adaptive acquisition policies for undersampled multi-coil MRI "
        "reconstruction, MIDL 2022",
        licence=_FASTMRI_LICENCE,
        training_data="Raw k-space of the fastMRI knee data, cropped to a small matrix and compressed to a few virtual "
        "coils, as whoever published the file says.",
        settings={"drops_outside_center": True, "counts_center_twice": True, "gives_raw_images": True},
    ),
    "banding-removal": Source(
        title="The VarNet of the banding study",
        model="soft_varnet",
        citation="Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699",
        licence=_FASTMRI_LICENCE,
        training_data="Raw k-space of the fastMRI knee data, also transposed, as whoever published the file says.",
        settings={},
    ),
    "promptmr": Source(
        title="PromptMR",
        model="promptmr",
        citation="Xin et al., Fill the k-space and refine the image: prompting for dynamic and multi-contrast MRI "
        "reconstruction, 2023",
        licence=_PROMPTMR_LICENCE,
        training_data="As whoever published the file says.",
        settings={"counts_stored_center": True},
    ),
    "promptmr-plus": Source(
        title="PromptMR+",
        model="promptmr",
        citation="Xin et al., Rethinking deep unrolled model for accelerated MRI reconstruction, ECCV 2024",
        licence=_PROMPTMR_LICENCE,
        training_data="As whoever published the file says.",
        settings={"counts_stored_center": True},
    ),
    "snu-challenge": Source(
        title="PromptMR of an entry to the SNU FastMRI challenge 2025",
        model="promptmr",
        citation="EJ_FastMRI_challenge, 2025",
        licence="The code that these weights come from has no licence, which leaves all rights with its authors: ask "
        "them before you use or pass on the weights. The network behind it, PromptMR+, is for non-commercial use only.",
        training_data="Fully sampled training volumes of the SNU FastMRI challenge 2025, without a validation set.",
        settings={},  # it counts the centre lines of all masks
    ),
}
"""What `mrikit weights import --from` knows, by name."""

SNU_CHALLENGE: Final = "snu-challenge"
"""The one of them that was published without channel attention."""

_UNET = "down_sample_layers.0.layers.0.weight"
_ENDINGS = {
    "model_sens.2.model.1.model.model.0.conv.layer1.0.weight": ("banding-removal",),
    "policies.0.sampler.channel_layer.layers.0.weight": ("adaptive-varnet",),
    "loupe.sampler": ("adaptive-varnet",),
    "sens_net.norm_unet.unet.feat_extract.weight": PROMPTMR_SOURCES,
    f"sens_net.norm_unet.unet.{_UNET}": ("fastmri-varnet",),
    _UNET: ("fastmri-unet",),
}


def recognise(names: Iterable[str]) -> tuple[str, ...]:
    """The sources that tensors with such names may be of, the likeliest first; none if they are of another network."""
    names = list(names)
    for ending, sources in _ENDINGS.items():
        if any(name.endswith(ending) for name in names):
            if sources is PROMPTMR_SOURCES:
                return _distinguish(names)
            return ("adaptive-varnet",) if _has_hard_consistency(names) else sources
    return ()


def _has_hard_consistency(names: list[str]) -> bool:
    """Whether cascades have no weight between data and estimate: an Adaptive VarNet, here one without policies."""
    return any("cascades." in name for name in names) and not any(name.endswith(".dc_weight") for name in names)


def _distinguish(names: list[str]) -> tuple[str, ...]:
    """Whether cascades work on k-space shows in no tensor; what else the published networks differ in does.

    PromptMR and PromptMR+ can be set up without channel attention too, although they were not published so.
    """
    if any(".momentum." in name for name in names):  # a history of features
        return ("promptmr-plus",)
    if not any(".CA." in name for name in names):  # channel attention
        return (SNU_CHALLENGE, *(source for source in PROMPTMR_SOURCES if source != SNU_CHALLENGE))
    return PROMPTMR_SOURCES
