"""Container images as environments of the workspace: registered by digest, pinned in jobs.

A tag can be pushed again, and then names something else; a digest cannot. So `mrikit image push` registers each image
as a version of its own, and a job is submitted with the version that was pushed last.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mrikit.errors import JobError
from mrikit.launching.job import JobSpec

if TYPE_CHECKING:
    from mrikit.launching.azure_ml.client import Workspace

GPU_IMAGE, CPU_IMAGE = "mrikit", "mrikit-cpu"
"""Container images, and the environments of the same names."""
ENVIRONMENT = "environment"
"""Key of the resource that names one."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION_LETTERS = 12


def image_of(spec: JobSpec) -> str:
    """Which of our images a job runs in."""
    return GPU_IMAGE if spec.gpus_per_node else CPU_IMAGE


def is_ours(spec: JobSpec) -> bool:
    """Whether a job runs in one of our images, as far as its environment tells."""
    return spec.resources.get(ENVIRONMENT, GPU_IMAGE).partition(":")[0] in (GPU_IMAGE, CPU_IMAGE)


def register_image(workspace: "Workspace", name: str, server: str, digest: str, tag: str) -> str:
    """Make an image that is in the registry the newest version of its environment.

    Args:
        workspace: Where jobs will look for it.
        name: Of the image.
        server: Address of the registry.
        digest: Of the image's manifest, `sha256:...`.
        tag: Of the image, noted for people.

    Returns:
        `name:version`.

    Raises:
        JobError: The digest is none, or the workspace refuses.
    """
    if not _DIGEST.fullmatch(digest):
        raise JobError(f"the registry names no digest of {name}:{tag}, found '{digest[:80]}'; push it again")
    version = digest.partition(":")[2][:_VERSION_LETTERS]
    workspace.register(name, version, f"{server}/{name}@{digest}", tag)
    return f"{name}:{version}"


def pinned(chain: Sequence[JobSpec], workspace: "Workspace") -> list[JobSpec]:
    """Jobs with the environments that they will run in, for those that name none.

    Raises:
        JobError: No image was pushed yet, or the workspace cannot be asked.
    """
    names = {image_of(spec) for spec in chain if ENVIRONMENT not in spec.resources}
    newest = {name: _newest(name, workspace) for name in sorted(names)}
    return [
        spec
        if ENVIRONMENT in spec.resources
        else replace(spec, resources={**spec.resources, ENVIRONMENT: newest[image_of(spec)]})
        for spec in chain
    ]


def _newest(name: str, workspace: "Workspace") -> str:
    versions = workspace.versions(name)
    if not versions:
        option = " --cpu" if name == CPU_IMAGE else ""
        raise JobError(
            f"workspace {workspace.estate.workspace_name} has no container image {name} yet; bring it: "
            f"mrikit image push --build-in-azure{option}"
        )
    return f"{name}:{max(versions, key=lambda one: one.pushed_at).version}"
