"""One tiny job on a cluster, and what it told."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mrikit.errors import JobError, MrikitError, StorageError
from mrikit.estate.arm import ArmError
from mrikit.estate.diagnosis import OK, Diagnosis
from mrikit.estate.first_day.container import MLFLOW, VAULT, VERSIONS
from mrikit.estate.first_day.control import Control
from mrikit.estate.first_day.secret import SecretTrip
from mrikit.estate.first_day.tidy import Tidy
from mrikit.storage import BlobPath, read_bytes, remove
from mrikit.storage.estate import EstateCluster
from mrikit.words import in_time

SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
_LOG_LETTERS = 4000


class StartedJob(Protocol):
    """A job that was submitted."""

    def state(self) -> tuple[str, str]:
        """Its state in one word, and what else is known."""

    def log(self) -> str:
        """What it has written."""

    def cancel(self) -> None:
        """End it."""


StartJob = Callable[[str, Sequence[str], BlobPath, EstateCluster, bool], StartedJob]
"""Submits `mrikit WORDS`, which writes a blob: (name, words, blob, cluster, whether with a GPU)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPatience:
    """How a job is waited for."""

    look_s: float = 15.0
    """Between two looks."""
    most_s: float = 2400.0
    """A node, the container image and the job itself take minutes; one that takes longer is ended."""


class JobTrip:
    """A job that looks around in its container and writes what it found to `runs` by the clusters' identity.

    Args:
        cluster: Where it runs.
        has_gpu: Whether the cluster's machines have GPUs.
        nonce: Part of its name.
        start: Submits it.
        control: Tells of the cluster's nodes.
        secret: Read by the job, if it is there.
        tidy: Ends the job and deletes its blob at the end.
        patience: How it is waited for.
        say: Called with each new state.
    """

    def __init__(
        self,
        cluster: EstateCluster,
        *,
        has_gpu: bool,
        nonce: str,
        start: StartJob,
        control: Control,
        secret: SecretTrip,
        tidy: Tidy,
        patience: JobPatience,
        say: Callable[[str], None],
    ) -> None:
        self.cluster, self._has_gpu = cluster, has_gpu
        self._name = f"doctor-{cluster.name.lower()}-{nonce}"
        self._blob = BlobPath("runs") / f"mrikit-{self._name}.json"
        self._start, self._control, self._secret = start, control, secret
        self._tidy, self._patience, self._say = tidy, patience, say
        self._job: StartedJob | None = None
        self._found: dict[str, Diagnosis] = {}

    def submit(self) -> str:
        """A step: the workspace takes the job.

        Raises:
            MrikitError: It does not.
        """
        words = ["doctor", "--container", "--out", str(self._blob)]
        words += ["--secret", str(self._secret.address)] if self._secret.digest else []
        self._job = self._start(self._name, words, self._blob, self.cluster, self._has_gpu)
        self._tidy.add(f"job {self._name}", self._job.cancel)
        self._tidy.add(str(self._blob), lambda: remove(self._blob))
        return f"{self._name} on cluster {self.cluster.name}"

    def wait(self) -> str:
        """A step: a node, the container image, and the command's end.

        Raises:
            JobError: It fails, or takes too long.
        """
        assert self._job is not None
        began_s, said = time.monotonic(), ""
        while True:
            state, message = self._job.state()
            if state in (SUCCEEDED, FAILED, CANCELLED):
                break
            if state != said:
                self._say(f"{self._name} is {state}: {message}".removesuffix(": "))
                said = state
            self._require_nodes()
            if time.monotonic() - began_s > self._patience.most_s:
                raise JobError(f"{self._name} is still {state} after {in_time(self._patience.most_s)}, and was ended")
            time.sleep(self._patience.look_s)
        self._tidy.forget(f"job {self._name}")
        if state != SUCCEEDED:
            raise JobError(f"{self._name} {state}: {message}; {self._log_end()}".removesuffix("; "))
        return f"{self._name} came to its end"

    def blob(self) -> str:
        """A step: what the job wrote to `runs`.

        Raises:
            StorageError: It is not there, or something else.
        """
        try:
            findings = json.loads(read_bytes(self._blob))["findings"]
            self._found = {one["subject"]: Diagnosis(**one) for one in findings}
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self._blob}: not what the job writes") from error
        remove(self._blob)
        self._tidy.forget(str(self._blob))
        return "; ".join(one.what for one in self._found.values() if one.subject in ("container", VERSIONS))

    def vault(self) -> str:
        """A step: the job read the secret.

        Raises:
            JobError: It did not, or read another one.
        """
        what = self._require(VAULT)
        if self._secret.digest not in what:
            raise JobError(f"the job read another link than was written: {what}")
        return what

    def mlflow(self) -> str:
        """A step: the job wrote a number into its own run.

        Raises:
            JobError: It could not, or Azure ML named no server.
        """
        return self._require(MLFLOW)

    def gpu(self) -> str:
        """A step: torch computes on the node's GPU.

        Raises:
            JobError: It does not.
        """
        return self._require("GPU")

    def infiniband(self) -> str:
        """A step: where the node has InfiniBand, NCCL can use it.

        Raises:
            JobError: It cannot.
        """
        return self._require("InfiniBand")

    def log(self) -> str:
        """A step: what the job printed can be read.

        Raises:
            JobError: There is none, or it is not the job's.
        """
        assert self._job is not None
        text = self._job.log()
        if self._blob.name not in text:
            raise JobError(f"the log of {self._name} has {len(text)} letters, and not what the job prints")
        return f"{len(text.splitlines())} lines"

    def _require(self, subject: str) -> str:
        """What the job found, if that is as it has to be."""
        found = self._found.get(subject)
        if found is None:
            raise JobError(f"the job tells nothing of {subject}")
        if found.state != OK:
            raise JobError(f"{found.what}; {found.remedy}".removesuffix("; "))
        return found.what

    def _require_nodes(self) -> None:
        try:
            wrong = self._control.nodes(self.cluster)
        except ArmError:  # the job itself tells in the end
            return
        if wrong:
            raise JobError(wrong)

    def _log_end(self) -> str:
        """The end of the log, which often says why; empty where it cannot be read."""
        assert self._job is not None
        try:
            text = self._job.log()[-_LOG_LETTERS:]
        except MrikitError:
            return ""
        return " / ".join(line.strip() for line in text.splitlines()[-5:] if line.strip())
