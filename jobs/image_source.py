"""The checkout that container images are built from."""

import subprocess
from pathlib import Path

from mrikit.errors import ConfigError


def checkout() -> Path:
    """The repository that this command runs from.

    Raises:
        ConfigError: It was installed without one.
    """
    root = Path(__file__).parents[1]
    if not (root / "images").is_dir():
        raise ConfigError(f"{root} has no images/; build from a checkout of mrikit: pip install -e .")
    return root


def revision(root: Path, *, is_dirty: bool) -> str:
    """The commit of a checkout, with `-dirty` if what enters an image has changes.

    Raises:
        ConfigError: It has changes that nobody agreed to, or is no repository.
    """
    commit = _git(root, "rev-parse", "HEAD")
    # A stack's own settings or notes beside the code make no other image.
    changes = _git(root, "status", "--porcelain", "--", *_paths(root))
    if commit is None or changes is None:
        if is_dirty:
            return "unknown"
        raise ConfigError(f"{root} is no git repository, so nobody could tell what is in the image; or say --dirty")
    if not changes:
        return commit
    if is_dirty:
        return f"{commit}-dirty"
    files = changes.splitlines()
    raise ConfigError(
        f"{root} has {len(files)} change(s) that are not committed, such as {files[0][3:]}; commit them, or say --dirty"
    )


def _paths(root: Path) -> list[str]:
    """What an image is made of: what .dockerignore lets in, and the recipes."""
    lines = (root / ".dockerignore").read_text().splitlines()
    return [".dockerignore", "images", *(line[1:].strip() for line in lines if line.startswith("!"))]


def _git(root: Path, *words: str) -> str | None:
    """What git says; None if it cannot."""
    try:
        done = subprocess.run(  # noqa: S603 - its words are ours
            ["git", "-C", str(root), *words],  # noqa: S607 - whichever is on the PATH
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.rstrip()
