"""The Data Factory: what it may read from and write to, and its two pipelines."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import datafactory

from infra.pipelines import COPY, LINK, STORE, UNPACK, archive_activity, datasets, parameters, unpack_activities
from infra.place import Site

KIND = "Microsoft.DataFactory/factories"


@dataclass(frozen=True, kw_only=True, slots=True)
class FactoryArgs:
    """What the factory needs."""

    site: Site
    blob_endpoint: pulumi.Input[str]
    account_kind: str
    """Of the data account, StorageV2 or BlockBlobStorage."""
    copies_at_once: int


class Factory(pulumi.ComponentResource):
    """`factory`, which copies archives from the links of a mail; a link's signature is in no definition of it.

    It comes to the data account as itself: only a system-assigned identity passes a closed firewall, and a linked
    service with an endpoint and nothing else uses it.

    Source:
        https://learn.microsoft.com/azure/data-factory/data-factory-service-identity,
        https://learn.microsoft.com/azure/data-factory/connector-azure-blob-storage ("System-assigned managed
        identity").
    """

    def __init__(self, name: str, args: FactoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Factory", name, None, opts)
        self._args = args
        self.factory = datafactory.Factory(
            "factory",
            factory_name=args.site.global_name(),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            identity=datafactory.FactoryIdentityArgs(type=datafactory.FactoryIdentityType.SYSTEM_ASSIGNED),
            # Its control plane: runs are started from anywhere, by who has the role.
            public_network_access=datafactory.PublicNetworkAccess.ENABLED,
            tags=args.site.tagged("datafactory"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        made = self._datasets(self._services())
        self._pipeline(COPY, "Copies an archive as it is.", [archive_activity()], made)
        self._pipeline(UNPACK, "Copies the members of a tar or tar.gz archive.", unpack_activities(), made)
        self.principal_id = self.factory.identity.apply(lambda identity: identity.principal_id if identity else "")
        self.register_outputs({"factory_name": self.factory.name})

    def _services(self) -> list[pulumi.Resource]:
        """Where links lead, and the data account, by the factory's own identity."""
        place = self._place()
        link = datafactory.LinkedService(
            LINK,
            linked_service_name=LINK,
            properties=datafactory.HttpLinkedServiceArgs(
                type="HttpServer",
                url="@{linkedService().baseUrl}",
                authentication_type=datafactory.HttpAuthenticationType.ANONYMOUS,
                enable_server_certificate_validation=True,
                parameters={"baseUrl": datafactory.ParameterSpecificationArgs(type=datafactory.ParameterType.STRING)},
            ),
            opts=pulumi.ResourceOptions(parent=self),
            **place,
        )
        store = datafactory.LinkedService(
            STORE,
            linked_service_name=STORE,
            properties=datafactory.AzureBlobStorageLinkedServiceArgs(
                type="AzureBlobStorage",
                service_endpoint=self._args.blob_endpoint,
                account_kind=self._args.account_kind,
            ),
            opts=pulumi.ResourceOptions(parent=self),
            **place,
        )
        return [link, store]

    def _datasets(self, services: list[pulumi.Resource]) -> list[pulumi.Resource]:
        return [
            datafactory.Dataset(
                name,
                dataset_name=name,
                properties=properties,
                opts=pulumi.ResourceOptions(parent=self, depends_on=services),
                **self._place(),
            )
            for name, properties in datasets().items()
        ]

    def _pipeline(
        self,
        name: str,
        description: str,
        activities: list[datafactory.CopyActivityArgs | datafactory.SwitchActivityArgs],
        made: list[pulumi.Resource],
    ) -> None:
        datafactory.Pipeline(
            name.replace(" ", "-"),
            pipeline_name=name,
            description=description,
            activities=activities,
            parameters=parameters(name),
            concurrency=self._args.copies_at_once,
            factory_name=self.factory.name,
            resource_group_name=self._args.site.resource_group_name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=made),
        )

    def _place(self) -> dict[str, pulumi.Input[str]]:
        return {"factory_name": self.factory.name, "resource_group_name": self._args.site.resource_group_name}
