"""Where a wheel keeps `infra/`, the Pulumi program; see setup.py."""
