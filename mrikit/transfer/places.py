"""Where mrikit keeps its own notes about what it brought into a folder."""

MANIFEST_FOLDER = ".mrikit"
"""Below the folder that archives or members go to; no member may lie in it."""
