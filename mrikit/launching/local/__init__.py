"""Jobs on this machine, detached."""
