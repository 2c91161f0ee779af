"""Jobs in containers of this machine."""
