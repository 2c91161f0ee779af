"""New project folder for the estate's program."""

import shutil
from pathlib import Path

from mrikit.errors import ConfigError, StorageError
from mrikit.estate.declared import PROGRAM, installed_program
from mrikit.estate.stack_file import PROJECT_FILE

EXAMPLES = "Pulumi.example*.yaml"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".venv*")
# Settings are tracked there, other than in a clone of mrikit: whoever deploys needs them.
_IGNORED = ".venv*/\n__pycache__/\n"


def write_project(folder: Path) -> list[str]:
    """Write what Pulumi needs: program, requirements, policies, project file, example settings.

    Args:
        folder: Where to; made if it is not there.

    Returns:
        What stands in the folder.

    Raises:
        ConfigError: Something is in the folder, or this installation has no program.
        StorageError: The folder cannot be written.
    """
    program = installed_program()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(one.name for one in folder.iterdir())
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise ConfigError(f"{folder}: not empty, found {found[0]}{more}; name a new folder")
        shutil.copytree(program, folder / PROGRAM, ignore=_LEFT_OUT)
        for file in (program.parent / PROJECT_FILE, *program.parent.glob(EXAMPLES)):
            shutil.copy(file, folder)
        (folder / ".gitignore").write_text(_IGNORED)
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}; name a folder that you may write to") from error
    return sorted(one.name for one in folder.iterdir())
