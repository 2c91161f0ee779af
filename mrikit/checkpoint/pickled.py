"""Pickles of torch.save, read without running what is in them.

A pickle is a program. Here torch's reader of `weights_only=True` runs it, which makes tensors and plain containers
only; the few classes besides that the arguments of a training script are made of become stand-ins that do nothing but
keep what they are given. Any other name in a file is refused before anything is called.
"""

import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
import torch

from mrikit.errors import CheckpointError

_NO_TORCH_FILE: Final = (
    "not a file that torch.save wrote, or cut off; give a .pt, .pth, .ckpt or .safetensors file, or a DeepSpeed folder"
)
_GLOBAL = re.compile(r"GLOBAL (\S+)")
_NUMPY_NUMBER = re.compile(r"[fiu][248]|[iu]1|b1")


def read_pickle(path: Path) -> Any:  # noqa: ANN401 - anything that a pickle holds
    """The content of a file of torch.save, on the CPU; no code in it is run.

    Classes that are known as harmless are stand-ins in it, which `as_group` and `as_plain` understand.

    Raises:
        CheckpointError: The file is damaged, or names anything else.
    """
    try:
        # torch warns of what it thinks of the pickle.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_stand_ins()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle raises anything
        unsafe = _GLOBAL.search(str(error))
        if unsafe:
            raise CheckpointError(
                f"{path}: holds {unsafe[1]} besides tensors; such a pickle can run code and was not read; where you "
                f"trust it, save its state dict alone with torch.save and import that"
            ) from error
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"{path}: a program of TorchScript, which is not read; save its state dict with torch.save"
            ) from error
        raise CheckpointError(f"{path}: {_NO_TORCH_FILE}") from error


def as_group(value: Any) -> Mapping[Any, Any] | None:  # noqa: ANN401 - anything that a pickle holds
    """A namespace or a mapping as a mapping; None for anything else."""
    if isinstance(value, _NamespaceStandIn):
        value = value.state
    return value if isinstance(value, Mapping) else None


def as_plain(value: Any) -> Any:  # noqa: ANN401 - anything that a pickle holds
    """A number, a text or a list of them; None for anything else."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        values = [item if isinstance(item, bool | int | float | str) else None for item in value]
        return None if None in values else values
    if isinstance(value, _PathStandIn):
        return str(PurePath(*(part for part in value.arguments if isinstance(part, str))))
    if isinstance(value, _NumberStandIn):
        return _number(value)
    return None


class _StandIn:
    """Takes the place of a class: keeps the arguments and the state that a pickle gives it."""

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> "_StandIn":  # noqa: ANN401, PYI034 - anything that a pickle holds
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - anything that a pickle holds
        self.state = state


class _NamespaceStandIn(_StandIn):
    """For `argparse.Namespace`: its state is a dict of arguments."""


class _PathStandIn(_StandIn):
    """For paths: its arguments are their parts."""


class _NumberTypeStandIn(_StandIn):
    """For `numpy.dtype`: its first argument names the type."""


class _NumberStandIn(_StandIn):
    """For numpy's scalars: its arguments are the type and the bytes."""


def _stand_ins() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What the harmless names in a pickle become; the classes themselves are not needed, nor called."""
    names: dict[str, Callable[..., Any]] = {
        "argparse.Namespace": _NamespaceStandIn,
        "types.SimpleNamespace": _NamespaceStandIn,
        "numpy.dtype": _NumberTypeStandIn,
        "numpy.core.multiarray.scalar": _NumberStandIn,
        "numpy._core.multiarray.scalar": _NumberStandIn,
        # Dicts whose keys can be read as attributes.
        "lightning.fabric.utilities.data.AttributeDict": OrderedDict,
        "lightning_fabric.utilities.data.AttributeDict": OrderedDict,
        "pytorch_lightning.utilities.parsing.AttributeDict": OrderedDict,
    }
    for module in ("pathlib", "pathlib._local"):
        for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
            names[f"{module}.{kind}"] = _PathStandIn
    return [(stand_in, name) for name, stand_in in names.items()]


def _number(scalar: _NumberStandIn) -> Any:  # noqa: ANN401 - int, float or bool
    """The value of one of numpy's scalars; None where it is no number."""
    kind, content = (*scalar.arguments, None, None)[:2]
    name = kind.arguments[0] if isinstance(kind, _NumberTypeStandIn) and kind.arguments else None
    if not isinstance(name, str) or not _NUMPY_NUMBER.fullmatch(name) or not isinstance(content, bytes):
        return None
    dtype = np.dtype(f"<{name}")
    return np.frombuffer(content, dtype)[0].item() if len(content) == dtype.itemsize else None
