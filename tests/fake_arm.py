"""A stand-in for Azure's control plane, as far as `mrikit doctor` asks it: what there is, how much, and for whom.

Whatever it refuses, it repeats the token in its message: the worst that a service could do.
"""

import re
import urllib.parse

from https_server import HttpsServer, refusal

SUBSCRIPTION = "0a1b2c3d-0000-4000-8000-00000000000f"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_FILES = "Microsoft.Storage/storageAccounts/fileServices"
_ROUTES = {
    "subscription": (r"/subscriptions/[^/]+", "2022-12-01"),
    "provider": (r"/subscriptions/[^/]+/providers/(?P<name>[^/]+)", "2021-04-01"),
    "network": (r"(?P<name>/subscriptions/.*/virtualNetworks/[^/]+)", "2024-05-01"),
    "subnet": (r"(?P<name>/subscriptions/.*/virtualNetworks/[^/]+/subnets/[^/]+)", "2024-05-01"),
    "sizes": (r".*/Microsoft\.MachineLearningServices/locations/(?P<name>[^/]+)/vmSizes", "2024-04-01"),
    "usages": (r".*/Microsoft\.MachineLearningServices/locations/(?P<name>[^/]+)/usages", "2024-04-01"),
    "group": (r"/subscriptions/[^/]+/resourceGroups/(?P<name>[^/]+)", "2021-04-01"),
    "accounts": (r".*/resourceGroups/(?P<name>[^/]+)/providers/Microsoft\.Storage/storageAccounts", "2023-05-01"),
    "permissions": (r"(?P<scope>.*/(?P<name>[^/]+))/providers/Microsoft\.Authorization/permissions", "2022-04-01"),
}
ROLES = {
    "Owner": {"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []},
    "Contributor": {"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]},
    "Role Based Access Control Administrator": {"actions": ["Microsoft.Authorization/roleAssignments/write", "*/read"]},
    "Reader": {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []},
    "Storage Blob Data Reader": {"actions": [], "dataActions": [f"{_BLOBS}/read"]},
    "Storage Blob Data Contributor": {
        "actions": ["Microsoft.Storage/storageAccounts/blobServices/containers/write"],
        "dataActions": [f"{_BLOBS}/{verb}" for verb in ("delete", "read", "write", "move/action", "add/action")],
    },
    "Storage File Data Privileged Contributor": {
        "dataActions": [
            *(f"{_FILES}/fileshares/files/{verb}" for verb in ("read", "write", "delete", "modifypermissions/action")),
            *(f"{_FILES}/{verb}FileBackupSemantics/action" for verb in ("read", "write")),
        ],
    },
    "Key Vault Secrets Officer": {"dataActions": ["Microsoft.KeyVault/vaults/secrets/*"]},
    "Data Factory Contributor": {"actions": ["Microsoft.DataFactory/factories/*", "Microsoft.Authorization/*/read"]},
    "AzureML Data Scientist": {
        "actions": ["Microsoft.MachineLearningServices/workspaces/*/write"],
        "notActions": ["Microsoft.MachineLearningServices/workspaces/computes/*/write"],
    },
}
"""As the vendor's documentation lists them, in part."""


class FakeArm:
    """One subscription behind `https://localhost:PORT`; change its attributes to change what it says."""

    def __init__(self, certificate, key):
        self.state = "Enabled"
        self.providers = {}  # namespace -> state, where it is not Registered
        self.sizes = [
            {"name": "STANDARD_D16S_V3", "family": "standardDSv3Family", "vCPUs": 16, "gpus": 0},
            {"name": "STANDARD_ND96ASR_V4", "family": "standardNDASv4_A100Family", "vCPUs": 96, "gpus": 8},
            {"name": "STANDARD_NC24ADS_A100_V4", "family": "standardNCADSA100v4Family", "vCPUs": 24, "gpus": 1},
        ]
        self.limits = {"standardDSv3Family": 100, "totalLowPriorityCores": 24, "standardNCADSA100v4Family": 0}
        self.used = {}
        self.offer = "PayAsYouGo_2014-09-01"
        self.groups = {}  # resource group -> its storage accounts
        self.roles = {  # last name of a scope -> roles of the caller
            SUBSCRIPTION: ["Owner"],
            "datasets": ["Reader", "Storage Blob Data Contributor"],
            "runs": ["Reader", "Storage Blob Data Contributor"],
            "raw": ["Reader", "Storage Blob Data Contributor"],
            "mrikit-dev-factory": ["Reader", "Data Factory Contributor"],
            "mrikit-dev-workspace": ["Reader", "AzureML Data Scientist"],
            "mrikitdevwork": ["Storage Blob Data Contributor", "Storage File Data Privileged Contributor"],
            "mrikit-dev": ["Key Vault Secrets Officer"],
        }
        self.network = {"location": "westeurope"}
        self.subnet = {
            "addressPrefix": "10.1.0.0/24",
            "natGateway": {"id": "/subscriptions/a/resourceGroups/hub/providers/Microsoft.Network/natGateways/out"},
            "delegations": [],
            "ipConfigurations": [{"id": "one"}],
        }  # properties of it
        self.refuses = {}  # operation or last name of a path -> (status, code, headers)
        self.next_host = None  # where pages go on, if not here
        self.page_size = 2
        self.requests = []  # (method, path with its query, headers)
        self.server = HttpsServer(self.answer, certificate, key)
        self.endpoint = self.server.endpoint

    def close(self):
        self.server.close()

    def asked(self):
        """The operations that were asked for, in order."""
        return [_route(urllib.parse.urlsplit(path).path)[0] for _, path, _ in self.requests]

    def answer(self, method, path, headers, _body):
        self.requests.append((method, path, headers))
        token = headers.get("Authorization", "")
        parts = urllib.parse.urlsplit(path)
        operation, match = _route(parts.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        name = urllib.parse.unquote(parts.path).rpartition("/")[2]
        for key in (operation, name):
            if key in self.refuses:
                status, code, more = self.refuses[key]
                return refusal(status, code, f"No, {token}, not to {path}.", **more)
        if method != "GET" or query.get("api-version") != _ROUTES[operation][1] or not token.startswith("Bearer "):
            return refusal(400, "BadRequest", f"{method} {path} with {token}")
        if parts.path.split("/")[2] != SUBSCRIPTION:
            return refusal(404, "SubscriptionNotFound", f"The subscription could not be found by {token}.")
        return self._tell(operation, match, query, parts.path)

    def _tell(self, operation, match, query, path):
        if operation == "subscription":
            policies = {"quotaId": self.offer}
            said = {"subscriptionId": SUBSCRIPTION, "displayName": "MRI group", "state": self.state}
            return 200, {}, said | {"subscriptionPolicies": policies}
        name = match["name"]
        if operation == "provider":
            return 200, {}, {"namespace": name, "registrationState": self.providers.get(name, "Registered")}
        if operation in ("group", "accounts") and name not in self.groups:
            return refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        if operation == "group":
            return 200, {}, {"name": name, "location": "westeurope"}
        if operation == "accounts":
            return self._page([{"name": account} for account in self.groups[name]], query, path)
        if operation == "permissions":
            if name not in self.roles:
                return refusal(404, "ResourceNotFound", f"{match['scope']} was not found.")
            return self._page([ROLES[role] for role in self.roles[name]], query, path)
        if operation == "network":
            return 200, {}, self.network
        if operation == "subnet":
            return 200, {}, {"name": "research", "properties": self.subnet}
        if name != "westeurope":
            return refusal(400, "NoRegisteredProviderFound", f"Nothing is at {name}.")
        if operation == "sizes":
            return self._page(self.sizes, query, path)
        usages = [
            {"name": {"value": key}, "limit": limit, "currentValue": self.used.get(key, 0), "unit": "Count"}
            for key, limit in self.limits.items()
        ]
        return self._page(usages, query, path)

    def _page(self, values, query, path):
        first = int(query.get("$skiptoken", 0))
        page = {"value": values[first : first + self.page_size]}
        if first + self.page_size < len(values):
            more = urllib.parse.urlencode({**query, "$skiptoken": first + self.page_size})
            page["nextLink"] = f"{self.next_host or self.endpoint}{path}?{more}"
        return 200, {}, page


def _route(path):
    """The operation of a path, and its parts."""
    for operation, (pattern, _) in reversed(_ROUTES.items()):
        match = re.fullmatch(pattern, urllib.parse.unquote(path))
        if match:
            return operation, match
    raise AssertionError(f"nothing is at {path}")
