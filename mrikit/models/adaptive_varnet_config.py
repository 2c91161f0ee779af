"""Settings of the Adaptive VarNet: its size, its policies, and what was published otherwise as switches."""

from dataclasses import dataclass

from mrikit.errors import ConfigError

_SMALLEST = 16  # pixels, because the network of a policy halves the image four times


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveVarNetConfig:
    """Settings of the Adaptive VarNet; the last three serve published weights and nothing else."""

    num_cascades: int = 5
    """Unrolled steps, at least 1."""
    num_channels: int = 18
    """Channels of each cascade's U-Net at full resolution."""
    num_pools: int = 4
    """Poolings of each cascade's U-Net."""
    num_sens_channels: int = 8
    """Channels of the sensitivity U-Net at full resolution; 0 for none: smoothed images of the centre, divided by their
    RSS, are the maps then. They need no training, which a small network has little of."""
    num_sens_pools: int = 4
    """Poolings of the sensitivity U-Net."""
    use_checkpoint: bool = False
    """Whether training computes each cascade twice instead of keeping its inside: less memory, a third more time."""
    hard_dc: bool = True
    """Whether what was measured replaces what was estimated; else a weight between both is learned."""
    dc_mode: str = "first"
    """Data consistency `first`, then the network; both at once, `simul`; or data consistency `last`."""
    sparse_dc_gradients: bool = True
    """Whether data consistency looks at the lines that were measured alone; else gradients also come from others."""
    matrix: tuple[int, int] = (128, 128)
    """Rows and columns of the images that lines are chosen for, each at least 16."""
    policy: str = "policy"
    """Who chooses lines: `policy`, networks between the cascades; `loupe`, one learned vector for all images; `none`,
    nobody."""
    cascades_per_policy: int = 1
    """Cascades between policies, counted from the last; as many as there are: one policy, before all of them."""
    budget: int = 22
    """Lines to measure beyond the start, by all policies together."""
    head: str = "softplus"
    """Numbers to probabilities by `softplus`, divided by the largest, or by `sigmoid`."""
    slope: float = 10.0
    """Sharpness of that function, above 0."""
    straight_through_slope: float = 10.0
    """Sharpness of the step between measured and not, for the gradient alone, above 0."""
    clamps_gradient: bool = False
    """Whether the gradient of a choice is cut at -1 and 1."""
    decides: str = "draw"
    """Outside of training lines are drawn by their probability, `draw`, as published; or `top_k`, the likeliest."""
    num_policy_channels: int = 16
    """Channels of a policy's network at full resolution; doubled at each of its four poolings."""
    policy_fc_size: int = 256
    """Neurons of its hidden layers."""
    num_policy_fc_layers: int = 3
    """Its linear layers, at least 1."""
    policy_activation: str = "leaky_relu"
    """What is between these, `leaky_relu` or `elu`."""
    num_center_lines: int = 0
    """Lines in the middle of every start, from which coil sensitivities come; 0 to count them."""
    drops_outside_center: bool = False
    """Whether lines of the start outside its centre are measured but not used, as published."""
    counts_center_twice: bool = False
    """Whether the centre is counted a second time in what the first count left, as published: at an odd width, where 6
    lines count as 4 and 4 as 2, coil sensitivities see fewer lines than there are."""
    gives_raw_images: bool = False
    """Whether policies see images in the scale of the data, as published. What they choose depends on it then, because
    instance norm has an epsilon."""

    def __post_init__(self) -> None:
        counts = (
            *(self.num_cascades, self.num_channels, self.num_pools, self.num_sens_pools),
            *(self.num_policy_channels, self.policy_fc_size, self.num_policy_fc_layers),
        )
        if min(counts) < 1 or min(self.num_sens_channels, self.num_center_lines) < 0:
            numbers = (*counts, self.num_sens_channels, self.num_center_lines)
            raise ConfigError(f"adaptive_varnet needs at least 1 cascade, channel, pooling and layer, found {numbers}")
        _require_word("dc_mode", self.dc_mode, ("first", "simul", "last"))
        _require_word("policy", self.policy, ("policy", "loupe", "none"))
        _require_word("head", self.head, ("softplus", "sigmoid"))
        _require_word("decides", self.decides, ("draw", "top_k"))
        _require_word("policy_activation", self.policy_activation, ("leaky_relu", "elu"))
        if not min(self.slope, self.straight_through_slope) > 0:
            found = f"{self.slope} and {self.straight_through_slope}"
            raise ConfigError(f"adaptive_varnet needs slopes above 0, found {found}")
        if len(self.matrix) != 2 or min(self.matrix) < _SMALLEST:
            raise ConfigError(f"adaptive_varnet needs a matrix of two numbers from {_SMALLEST}, found {self.matrix}")
        if not 1 <= self.cascades_per_policy <= self.num_cascades:
            found = f"{self.cascades_per_policy} of {self.num_cascades}"
            raise ConfigError(f"adaptive_varnet needs cascades_per_policy from 1 to num_cascades, found {found}")
        num_decisions = len(decision_places(self))
        if self.budget < num_decisions:
            raise ConfigError(
                f"adaptive_varnet: a budget of {self.budget} lines for {num_decisions} decisions; it needs at least "
                f"one for each"
            )


def decision_places(config: AdaptiveVarNetConfig) -> tuple[int, ...]:
    """The cascades before which lines are chosen, 0 the first."""
    if config.policy == "none":
        return ()
    per, num_cascades = config.cascades_per_policy, config.num_cascades
    if config.policy == "loupe" or per == num_cascades:
        return (0,)
    return tuple(place for place in range(1, num_cascades) if (num_cascades - place) % per == 0)


def decision_budgets(config: AdaptiveVarNetConfig) -> tuple[int, ...]:
    """Lines for each decision: the same for all, what is left over for the last.

    What is left over is lost in the published code if it is as much as the others get, such as 7 lines for 4 policies.
    """
    num_decisions = len(decision_places(config))
    if num_decisions == 0:
        return ()
    each = config.budget // num_decisions
    return (each,) * (num_decisions - 1) + (config.budget - each * (num_decisions - 1),)


def _require_word(name: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise ConfigError(f"adaptive_varnet.{name} is {', '.join(words[:-1])} or {words[-1]}, found {word!r}")
