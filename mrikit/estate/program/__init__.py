"""Package that carries `infra/` inside a wheel."""
