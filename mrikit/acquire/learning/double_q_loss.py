"""One step of double Q-learning, with TorchRL's loss and target network."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from mrikit.acquire.learning.learner import require_alike
from mrikit.acquire.learning.torchrl_parts import DQNLoss, HardUpdate, QValueActor, TensorDict, ValueEstimators


class SeenTransitions(NamedTuple):
    """Transitions, such as of a `Replay`, with what a Q network looks at."""

    image: torch.Tensor
    """What a Q network looks at, (batch, ...)."""
    mask: torch.Tensor
    """(batch, phase) bool, the lines measured before."""
    line: torch.Tensor
    """(batch,) int64, the line chosen."""
    reward: torch.Tensor
    """(batch,) float32."""
    next_image: torch.Tensor
    """As `image`, afterwards."""
    next_mask: torch.Tensor
    """(batch, phase) bool, the lines measured afterwards."""
    next_free: torch.Tensor
    """(batch, phase) bool, the lines that may be chosen then: the best of these counts, in both networks."""
    is_done: torch.Tensor
    """(batch,) bool, whether the episode ended with it."""


class Update(NamedTuple):
    """How one step of learning went."""

    loss: float
    """Before the step."""
    gradient_norm: float
    """Root of the sum of squares of all gradients, before they are cut."""


class DoubleQ:
    """A Q network that learns: smooth L1, a target network, Adam.

    Source:
        van Hasselt et al., Deep reinforcement learning with double Q-learning, AAAI 2016, arXiv:1509.06461.

    Args:
        network: With the signature of `mrikit.models.q_networks`; its weights change.
        discount: How much a reward counts one step later, 0 to 1.
        rate: Adam's.
        target_steps: Updates from one copy of the weights to the target network to the next.
        largest_gradient: Where each single gradient is cut, either side of 0.
    """

    def __init__(
        self, network: nn.Module, *, discount: float, rate: float, target_steps: int, largest_gradient: float = 1.0
    ) -> None:
        self.network = network
        actor = QValueActor(network, in_keys=["image", "mask"], action_space="categorical", action_mask_key="is_free")
        self._loss = DQNLoss(
            actor, loss_function="smooth_l1", double_dqn=True, delay_value=True, action_space="categorical"
        )
        self._loss.make_value_estimator(ValueEstimators.TD0, gamma=discount)
        # It copies at one call after so many.
        self._target = HardUpdate(self._loss, value_network_update_interval=target_steps - 1)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=rate)
        self._largest_gradient = largest_gradient

    def update(self, batch: SeenTransitions) -> Update:
        """One step of the optimizer on the smooth L1 loss of a batch."""
        loss = self._loss(_as_tensordict(batch))["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        weights = list(self.network.parameters())
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        nn.utils.clip_grad_value_(weights, self._largest_gradient)
        self.optimizer.step()
        self._target.step()
        return Update(loss.item(), norm.item())

    def state(self) -> dict[str, torch.Tensor]:
        """Weights, those of the target network, moments and the place between two copies, by name; copies."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"target/{name}": value for name, value in self._target_weights().items()}
        for name, parameter in self.network.named_parameters():
            for moment, value in self._moments(parameter).items():
                tensors[f"{moment}/{name}"] = value
        tensors["since_target"] = torch.tensor(self._target.counter)
        return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave.

        Raises:
            CheckpointError: Something is missing, or of another shape.
        """
        parameters = dict(self.network.named_parameters())
        for parameter in parameters.values():
            # Where Adam would make them at its first step.
            self.optimizer.state[parameter] = self._moments(parameter)
        require_alike(state, self.state())
        self.network.load_state_dict({name: state[f"network/{name}"] for name in self.network.state_dict()})
        for name, value in self._target_weights().items():
            value.copy_(state[f"target/{name}"])
        for name, parameter in parameters.items():
            for moment, value in self.optimizer.state[parameter].items():
                value.copy_(state[f"{moment}/{name}"])
        self._target.counter = int(state["since_target"])

    def _target_weights(self) -> dict[str, torch.Tensor]:
        """The target network's parameters by the names of the network's."""
        flat = self._loss.target_value_network_params.data.flatten_keys(".")
        return {name: flat[f"module.0.module.{name}"] for name, _ in self.network.named_parameters()}

    def _moments(self, parameter: nn.Parameter) -> dict[str, torch.Tensor]:
        """What Adam keeps of a parameter; zeros before its first step."""
        found: dict[str, torch.Tensor] = self.optimizer.state.get(parameter) or {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
        return found


def _as_tensordict(batch: SeenTransitions) -> TensorDict:
    size = [len(batch.line)]
    done = batch.is_done[:, None]
    after = {
        "image": batch.next_image,
        "mask": batch.next_mask,
        "is_free": batch.next_free,
        "reward": batch.reward[:, None],
        "done": done,
        "terminated": done,
    }
    before = {"image": batch.image, "mask": batch.mask, "is_free": ~batch.mask, "action": batch.line}
    return TensorDict({**before, "next": TensorDict(after, size)}, size)
