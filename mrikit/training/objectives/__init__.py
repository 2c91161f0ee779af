"""What a run minimises and how it is judged, one file for each objective."""
