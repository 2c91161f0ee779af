"""Archives from signed links into a folder or into Blob, block by block."""
