"""A machine with GPUs for tests, by stand-ins for nvidia-smi, and for Docker, whose engine wants real GPUs."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mrikit.launching.state import JobState, write_state

_NVIDIA_SMI = """#!/bin/sh
case "$1" in
    --query-gpu=index,uuid) cat {folder}/gpus ;;
    --query-compute-apps=gpu_uuid,pid) cat {folder}/apps ;;
    *) echo "not asked before: $1"; exit 2 ;;
esac
"""
_DOCKER = """#!{python} -S
import json, pathlib, sys
kept = pathlib.Path("{folder}/containers.json")
found = json.loads(kept.read_text())
verb, *words = sys.argv[1:]
values = lambda option: [words[index + 1] for index, word in enumerate(words) if word == option]
if verb == "run":
    labels = dict(label.split("=", 1) for label in values("--label"))
    facts = {{"Running": True, "Restarting": False, "Status": "running"}}
    found[values("--name")[0]] = {{"Name": "/" + values("--name")[0], "Config": {{"Labels": labels}}, "State": facts}}
    found[values("--name")[0]]["Gpus"] = values("--gpus")
    kept.write_text(json.dumps(found))
elif verb == "ps":
    for name, one in found.items():
        asked = [text[6:].split("=", 1) for text in values("--filter") if text.startswith("label=")]
        labels = [one["Config"]["Labels"].get(key) == value for key, *rest in asked for value in rest]
        names = [text[8:-1] == name for text in values("--filter") if text.startswith("name=")]
        if all(labels + names):
            print(name)
elif verb == "container":
    print(json.dumps([found[name] for name in words[1:]]))
"""


@dataclass(frozen=True)
class GpuMachine:
    """What the stand-ins say."""

    folder: Path

    def computes(self, index: int, process: int) -> None:
        """Somebody else takes a GPU."""
        (self.folder / "apps").write_text(f"{uuid(index)}, {process}\n")

    def gpus_of_containers(self) -> dict[str, list[str]]:
        """The words of `--gpus` by container."""
        found = json.loads((self.folder / "containers.json").read_text())
        return {name: one["Gpus"] for name, one in found.items()}

    def end_container(self, name: str) -> None:
        """A container's job is over."""
        path = self.folder / "containers.json"
        found = json.loads(path.read_text())
        found[name]["State"]["Running"] = False
        path.write_text(json.dumps(found))
        write_state(Path(found[name]["Config"]["Labels"]["mrikit.folder"]), JobState(state="succeeded"))


def gpu_machine(folder: Path, monkeypatch, num_gpus: int) -> GpuMachine:
    """Put the stand-ins first on the PATH."""
    folder.mkdir()
    for name, text in (("nvidia-smi", _NVIDIA_SMI), ("docker", _DOCKER)):
        (folder / name).write_text(text.format(folder=folder, python=sys.executable))
        (folder / name).chmod(0o755)
    (folder / "gpus").write_text("".join(f"{index}, {uuid(index)}\n" for index in range(num_gpus)))
    (folder / "apps").touch()
    (folder / "containers.json").write_text("{}")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    return GpuMachine(folder)


def uuid(index: int) -> str:
    """What nvidia-smi calls a GPU."""
    return f"GPU-{index}000-4b1c"
