"""Why a member is not in the folder, where that depends on more than its name; and what would do."""

MOVE_AWAY = "move it away to unpack this one"
COPY_AGAIN = "delete the archive and copy it again"
COPY_DATA_AGAIN = "give the `mrikit data copy` that brought the others again"

OTHER_FILE = f"another file of {{}} bytes is there; {MOVE_AWAY}"
OTHER_CONTENT = f"a file with another content is there; {MOVE_AWAY}"
CAME_MEANWHILE = f"a file with another content came meanwhile; {MOVE_AWAY}"
IS_FOLDER = f"a folder of this name is there; {MOVE_AWAY}"
FOLDER_IS_FILE = f"its folder {{}} is a file there; {MOVE_AWAY}"
TAKEN_BACK = f"removed again: the check of the part of the archive that it came from failed; {COPY_AGAIN}"
NOT_CONFIRMED = (
    f"the file that was there stays, but the check of the part of the archive that has it failed; {COPY_AGAIN}"
)
NOT_COPIED = f"it did not come with the others; {COPY_DATA_AGAIN}"


def remedy_of(reason: str) -> str:
    """What to do about a member that is not in the folder."""
    if reason.endswith(MOVE_AWAY):
        return "move what is there away, and unpack the archive again"
    if reason.endswith(COPY_AGAIN):
        return f"{COPY_AGAIN}, then unpack it"
    if reason.endswith(COPY_DATA_AGAIN):
        return COPY_DATA_AGAIN
    return "ask the publisher for an archive without them"
