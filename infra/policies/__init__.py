"""Safety rules of an estate, for `mrikit infra plan` and for `pulumi up --policy-pack`; nothing here imports either."""
