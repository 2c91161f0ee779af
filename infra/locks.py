"""The lock on the data account: nobody deletes it by another way than this program."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization


@dataclass(frozen=True, kw_only=True, slots=True)
class LockArgs:
    """What the lock needs."""

    account_id: pulumi.Input[str]
    after: tuple[pulumi.Resource, ...]
    """What hangs on the account; the lock goes before it, because it would keep it from being deleted."""


class Lock(pulumi.ComponentResource):
    """CanNotDelete on the data account, and not on its group, in which Azure ML deletes what is its own.

    A lock keeps assignments of roles, diagnostic settings, endpoints and containers of the account from being deleted,
    too. Blobs are not what it is about: soft delete is.

    Source:
        https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources.
    """

    def __init__(self, name: str, args: LockArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Lock", name, None, opts)
        authorization.ManagementLockByScope(
            "keep-data",
            lock_name="mrikit-keep-data",
            scope=args.account_id,
            level=authorization.LockLevel.CAN_NOT_DELETE,
            notes="Of mrikit's program; `pulumi config set lockData false` and `pulumi up` take it away.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        self.register_outputs({})
