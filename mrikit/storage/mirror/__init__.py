"""Local copies of folders in Blob."""
