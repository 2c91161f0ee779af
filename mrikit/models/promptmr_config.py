"""Settings of PromptMR: defaults, the sizes that were published, and the flaws of the published code as switches."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from mrikit.errors import ConfigError
from mrikit.models.prompt_unet import PromptUnetConfig

_MIN_BUFFERS = 3  # what data consistency saw, what the network remembers, and the first image
_MIN_ATTENTION_WIDTH = 4
_TUPLES = (
    "prompt_widths",
    "prompt_lengths",
    "prompt_sizes",
    "num_encoder_blocks",
    "num_decoder_blocks",
    "num_skip_blocks",
    "sens_feature_widths",
    "sens_prompt_widths",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptMRConfig:
    """Settings of PromptMR; tuples have one entry for each halving of the resolution, finest first.

    The defaults have the size of the SNU challenge entry of 2025 without its flaws. Those that published weights were
    trained with come back by the last five settings, which `mrikit weights import` sets; they serve nothing else.
    """

    num_cascades: int = 8
    """Unrolled steps, at least 1."""
    num_adjacent: int = 3
    """Slices that go in, the middle one of which comes out; odd."""
    kspace_cascades: bool = False
    """Whether cascades improve the k-space of all coils (PromptMR, PromptMR+) or images (the challenge entry), which
    takes half as many transforms."""
    stem_width: int = 48
    """Channels at full resolution."""
    feature_widths: tuple[int, ...] = (64, 80, 96)
    """Channels after each halving of the resolution."""
    prompt_widths: tuple[int, ...] = (16, 32, 48)
    """Channels of the prompts that are added on the way up."""
    sens_stem_width: int = 12
    """Channels of the sensitivity network at full resolution; 0 for none: the images of the centre, divided by their
    RSS, are the maps then. They need no training, which a small network has little of."""
    sens_feature_widths: tuple[int, ...] = (16, 20, 24)
    """Channels of the sensitivity network after each halving; it has as many as the others."""
    sens_prompt_widths: tuple[int, ...] = (4, 8, 12)
    """Channels of its prompts."""
    sens_uses_adjacent: bool = True
    """Whether the sensitivity network sees a coil's images of all slices together."""
    prompt_lengths: tuple[int, ...] = (5, 5, 5)
    """Prompts to mix, of all networks, as all that follows."""
    prompt_sizes: tuple[int, ...] = (64, 32, 16)
    """Sides of the square prompts before they are resized, pixels."""
    num_encoder_blocks: tuple[int, ...] = (2, 3, 3)
    """Residual blocks on the way down."""
    num_decoder_blocks: tuple[int, ...] = (2, 2, 3)
    """Residual blocks on the way up."""
    num_skip_blocks: tuple[int, ...] = (1, 1, 1)
    """Residual blocks from the way down to the way up."""
    num_bottleneck_blocks: int = 3
    """Residual blocks at the coarsest resolution."""
    num_buffers: int = 4
    """Images beside the current one that a cascade's network sees: what data consistency sees, what the network itself
    remembers, the first image, then, in all others, the first's difference from what data consistency sees; 0 or 3 and
    more."""
    num_history: int = 0
    """Earlier cascades whose features a cascade's network sees again."""
    has_attention: bool = False
    """Whether residual blocks weigh their channels."""
    learnable_prompts: bool = True
    """Whether prompts learn; else they stay the noise they begin as."""
    use_checkpoint: bool = False
    """Whether training computes again instead of keeping: less memory, a third more time. It and the next two change
    memory and time alone."""
    checkpoint_every: int = 1
    """Cascades that are computed again together; 0 to do it twice, for a cascade and for each level of its network."""
    coils_at_a_time: int = 0
    """Coils that go through the sensitivity network together; 0 for 2 on a CPU and 8 on a GPU."""
    counts_stored_center: bool = False
    """Whether the centre lines of a mask that was not drawn here are counted in it, as many on both sides of the
    middle, as PromptMR does, whatever its file says."""
    shares_activation: bool = False
    """Flaw: one PReLU slope for all sites of all networks, except the first block of each; else each has its own."""
    output_uses_all_maps: bool = False
    """Flaw of the challenge entry: the image is multiplied by the RSS of the maps of all slices, sqrt(num_adjacent),
    which the last cascade has to unlearn; else by that of the middle slice, 1."""
    counts_center_lines: bool = False
    """Flaw of the challenge entry: the lines of the centre are counted in the mask also where their number is known."""
    counts_one_line_in_full_masks: bool = False
    """Flaw: 1 line is counted where the mask has no gap on one of the sides; else all."""
    has_unused_outputs: bool = False
    """Flaw: the networks have as many outputs as inputs, of which most are never looked at."""

    def __post_init__(self) -> None:
        self._check_counts()
        levels = len(self.feature_widths)
        for name in _TUPLES:
            found = getattr(self, name)
            least = 0 if name.endswith("blocks") else 1
            if len(found) != levels or min(found) < least:
                raise ConfigError(
                    f"promptmr.{name} needs {levels} numbers of {least} or more, one for each of feature_widths "
                    f"{self.feature_widths}, found {found}"
                )
        widths = [self.stem_width, *self.feature_widths]
        if self.sens_stem_width:
            widths += [self.sens_stem_width, *self.sens_feature_widths]
        if self.has_attention and min(widths) < _MIN_ATTENTION_WIDTH:
            raise ConfigError(
                f"promptmr.has_attention needs widths of {_MIN_ATTENTION_WIDTH} or more, found {min(widths)}; widen "
                f"the network or turn attention off"
            )

    def cascade_unet(self, index: int) -> PromptUnetConfig:
        """The U-Net of a cascade; that of the last has nothing to tell to a next one."""
        remembers = self.num_buffers > 0 and index < self.num_cascades - 1
        num_inputs = 1 + self.num_buffers
        num_outputs = num_inputs if self.has_unused_outputs else 1 + remembers
        return PromptUnetConfig(
            num_inputs=2 * self.num_adjacent * num_inputs,
            num_outputs=2 * self.num_adjacent * num_outputs,
            stem_width=self.stem_width,
            feature_widths=self.feature_widths,
            prompt_widths=self.prompt_widths,
            prompt_lengths=self.prompt_lengths,
            prompt_sizes=self.prompt_sizes,
            num_encoder_blocks=self.num_encoder_blocks,
            num_decoder_blocks=self.num_decoder_blocks,
            num_skip_blocks=self.num_skip_blocks,
            num_bottleneck_blocks=self.num_bottleneck_blocks,
            has_attention=self.has_attention,
            learnable_prompts=self.learnable_prompts,
            num_history=self.num_history,
            has_segments=self.use_checkpoint and self.checkpoint_every == 0,
        )

    def sens_unet(self) -> PromptUnetConfig:
        """The U-Net of the sensitivity network."""
        channels = 2 * (self.num_adjacent if self.sens_uses_adjacent else 1)
        return dataclasses.replace(
            self.cascade_unet(0),
            num_inputs=channels,
            num_outputs=channels,
            stem_width=self.sens_stem_width,
            feature_widths=self.sens_feature_widths,
            prompt_widths=self.sens_prompt_widths,
            num_history=0,
            has_segments=False,
        )

    def _check_counts(self) -> None:
        if self.num_adjacent < 1 or self.num_adjacent % 2 == 0:
            raise ConfigError(f"promptmr.num_adjacent is odd, a slice and its neighbours, found {self.num_adjacent}")
        if self.num_buffers and self.num_buffers < _MIN_BUFFERS:
            raise ConfigError(
                f"promptmr.num_buffers is 0 or {_MIN_BUFFERS} and more, because {_MIN_BUFFERS} images always come "
                f"first, found {self.num_buffers}"
            )
        if self.output_uses_all_maps and self.kspace_cascades:
            raise ConfigError(
                "promptmr.output_uses_all_maps needs an image to multiply, which kspace_cascades never make; turn one "
                "of them off"
            )
        if not self.feature_widths or min(self.num_cascades, self.stem_width, *self.feature_widths) < 1:
            raise ConfigError(
                f"promptmr needs at least 1 cascade, halving and channel, found num_cascades {self.num_cascades}, "
                f"stem_width {self.stem_width} and feature_widths {self.feature_widths}"
            )
        for name in ("num_bottleneck_blocks", "num_history", "sens_stem_width", "checkpoint_every", "coils_at_a_time"):
            if getattr(self, name) < 0:
                raise ConfigError(f"promptmr.{name} is 0 or more, found {getattr(self, name)}")


CHALLENGE_SETTINGS: Final[dict[str, Any]] = {"num_cascades": 8, "num_adjacent": 3, "kspace_cascades": False}
"""The SNU challenge entry of 2025; its widths are the defaults."""
PLUS_SETTINGS: Final[dict[str, Any]] = {
    "num_cascades": 12,
    "num_adjacent": 5,
    "kspace_cascades": True,
    "feature_widths": (72, 96, 120),
    "prompt_widths": (24, 48, 72),
    "sens_stem_width": 24,
    "sens_feature_widths": (36, 48, 60),
    "sens_prompt_widths": (12, 24, 36),
    "num_history": 11,
    "has_attention": True,
}
"""PromptMR+ as published, where it differs from the defaults."""
PUBLISHED_FLAWS: Final[dict[str, bool]] = {
    "shares_activation": True,
    "counts_one_line_in_full_masks": True,
    "has_unused_outputs": True,
}
"""What every published PromptMR does."""
CHALLENGE_FLAWS: Final[dict[str, bool]] = {
    **PUBLISHED_FLAWS,
    "output_uses_all_maps": True,
    "counts_center_lines": True,
}
"""What the challenge entry does."""
