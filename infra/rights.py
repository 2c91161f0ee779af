"""Who may do what, each on one resource: role assignments that keep their names from run to run."""

import uuid
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization

from infra.place import Site

_ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "Azure AI Enterprise Network Connection Approver": "b556d68e-0be0-4f35-a333-ad7ee1ce17ea",
    "AzureML Compute Operator": "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
    "Data Factory Contributor": "673868aa-7521-48a0-acc6-0f60742d39f5",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage File Data Privileged Contributor": "69566ab7-960f-475b-8e7c-b3118f30c6bd",
}
"""Azure's built-in roles by name; their ids are the same in every subscription."""
_NAMESPACE = uuid.UUID("5c0ad9bc-2a30-4f5e-9d1c-7c1c3c1d6f0a")


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """One role, for one identity or group, on one resource."""

    who: str
    """In a word, for the name of the assignment."""
    principal_id: pulumi.Input[str]
    """Object id of the identity or group."""
    role: str
    """A name among the roles above."""
    what: str
    """The resource in a word."""
    scope: pulumi.Input[str]
    """Id of the resource."""
    is_group: bool = False
    """Else an identity, which Azure may not find yet when it is new, unless it is told what it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RightsArgs:
    """What rights need."""

    site: Site
    subscription_id: str
    """Whose role definitions are meant."""
    rights: tuple[Right, ...]


class Rights(pulumi.ComponentResource):
    """`assignments`, one for each right."""

    def __init__(self, name: str, args: RightsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Rights", name, None, opts)
        self.assignments = tuple(self._assign(right, args) for right in args.rights)
        self.register_outputs({})

    def _assign(self, right: Right, args: RightsArgs) -> authorization.RoleAssignment:
        role_id = _ROLES[right.role]
        definitions = f"/subscriptions/{args.subscription_id}/providers/Microsoft.Authorization/roleDefinitions"
        kinds = authorization.PrincipalType
        return authorization.RoleAssignment(
            f"{right.who}-{right.role}-{right.what}".lower().replace(" ", "-"),
            role_assignment_name=pulumi.Output.all(right.scope, right.principal_id).apply(
                lambda pair: str(uuid.uuid5(_NAMESPACE, "/".join([*pair, role_id])))
            ),
            principal_id=right.principal_id,
            principal_type=kinds.GROUP if right.is_group else kinds.SERVICE_PRINCIPAL,
            role_definition_id=f"{definitions}/{role_id}",
            scope=right.scope,
            description=f"{args.site.name()}: {right.role} of {right.who} on {right.what}",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
