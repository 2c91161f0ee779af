"""A stand-in for one Azure ML workspace: its control plane, its run history, and the files that its jobs print to.

Whatever it refuses, it repeats the token in its message: the worst that a service could do.
"""

import contextlib
import copy
import json
import re
import ssl
import urllib.parse

from estates import example_estate
from https_server import HttpsServer, refusal

_ESTATE = example_estate()
_SCOPE = (
    f"/subscriptions/{_ESTATE.subscription_id}/resourceGroups/{_ESTATE.resource_group}/providers/"
    f"Microsoft.MachineLearningServices/workspaces/{_ESTATE.workspace_name}"
)
_OVER = ("Completed", "Failed", "Canceled")


class FakeAzureml:
    """One workspace behind `https://localhost:PORT`; change its attributes to change what it says."""

    def __init__(self, certificate, key):
        self.bodies = {}  # name -> what was PUT, as it came
        self.jobs = {}  # name -> what a GET tells
        self.details = {}  # run -> what the history tells
        self.children = {}  # pipeline -> runs of its steps
        self.files = {}  # path of a log -> bytes
        self.components = []  # of the steps of pipelines
        self.environments = {}  # name -> version -> what was PUT
        self.refuses = {}  # "PUT job", "GET job", ... -> list of answers for the next such requests
        self.loses_answers = 0  # to so many PUTs, which are taken
        self.workspace_is_there = True
        self.signs_logs = True
        self.refuses_own_login = None  # a status, for files of the workspace's account
        self.workspace_state, self.identity = "Succeeded", "SystemAssigned"
        self.cluster = {}  # what clusters tell otherwise
        self.starts = lambda name, body: None  # called with each job that is taken
        self.requests = []  # (operation, path, headers)
        self.page_size = 2
        self.clock = 0
        self.server = HttpsServer(self.answer, certificate, key)
        for verb in ("GET", "PUT", "POST", "PATCH"):
            setattr(self.server._server.RequestHandlerClass, f"do_{verb}", _serve)
        self.endpoint = self.server.endpoint

    def close(self):
        self.server.close()

    def asked(self, operation):
        """The paths of the requests of one kind, without what all have in common."""
        return [path.partition("?")[0].rpartition(_SCOPE)[2] for kind, path, _ in self.requests if kind == operation]

    def set_status(self, name, status, *, error=None, log=None, process=None, **details):
        """Let a job be so, as the workspace and its history tell."""
        if name in self.jobs:
            self.jobs[name]["properties"]["status"] = status
        run = self.details.setdefault(name, {"runId": name, "logFiles": {}})
        run |= {"status": status, "startTimeUtc": "2026-01-02T03:04:05.1234567+00:00", **details}
        if status in _OVER:
            run["endTimeUtc"] = "2026-01-02T04:04:05+00:00"
        if error:
            run["error"] = {"error": {"code": error[0], "message": error[1]}}
        if log is not None:
            self.write_log(name, log, process)

    def write_log(self, name, text, process=None):
        file = "std_log.txt" if process is None else f"std_log_process_{process}.txt"
        path = f"/logs/{name}/user_logs/{file}"
        self.files[path] = text.encode()
        run = self.details.setdefault(name, {"runId": name, "status": "Running", "logFiles": {}})
        signature = "?sv=2021&sig=SECRETOFLOG" if self.signs_logs else ""
        run["logFiles"][f"user_logs/{file}"] = f"{self.endpoint}{path}{signature}"

    def answer(self, method, path, headers, body):
        parts = urllib.parse.urlsplit(path)
        where = urllib.parse.unquote(parts.path)
        kind, name = _kind(method, where)
        self.requests.append((kind, path, headers))
        token = headers.get("Authorization", "")
        if self.refuses.get(kind):
            status, code, more = self.refuses[kind].pop(0)
            return (None, {}, None) if status is None else refusal(status, code, f"No, {token}, not {path}.", **more)
        if kind == "GET discovery":
            return 200, {}, {"api": self.endpoint, "studio": "https://ml.azure.com"}
        if kind == "GET log":
            return self._file(where, parts.query, headers)
        if not token.startswith("Bearer "):
            return refusal(401, "InvalidAuthenticationToken", "Who are you?")
        if kind == "GET own log":
            if self.refuses_own_login:
                return refusal(self.refuses_own_login, "AuthorizationFailure", f"Not by {token}.")
            return self._content(f"/logs/{where.partition('/dcid.')[2]}", headers)
        if not self.workspace_is_there:
            code = "ResourceNotFound" if where == _SCOPE else "ParentResourceNotFound"
            return refusal(404, code, f"Resource {_SCOPE} was not found by {token}.")
        return getattr(self, f"_{kind.lower().replace(' ', '_')}")(name, parts, headers, body)

    def _get_workspace(self, _name, _parts, _headers, _body):
        properties = {
            "workspaceId": "w",
            "discoveryUrl": f"{self.endpoint}/discovery",
            "provisioningState": self.workspace_state,
        }
        known = {"id": _SCOPE, "name": _ESTATE.workspace_name, "location": "westeurope", "properties": properties}
        return 200, {}, known | {"identity": {"type": self.identity}}

    def _get_compute(self, name, _parts, _headers, _body):
        found = [cluster for cluster in _ESTATE.clusters if cluster.compute_name == name]
        if not found:
            return refusal(404, "UserError", f"Compute {name} was not found.")
        inner = {"vmSize": found[0].sku.upper(), "vmPriority": found[0].priority}
        inner |= {"scaleSettings": {"maxNodeCount": 4, "minNodeCount": 0}} | self.cluster
        properties = {"computeType": "AmlCompute", "provisioningState": "Succeeded", "properties": inner}
        return 200, {}, {"id": f"{_SCOPE}/computes/{name}", "name": name, "properties": properties}

    def _put_component(self, name, parts, _headers, body):
        found = json.loads(body)
        self.components.append(found["properties"]["componentSpec"])
        return 201, {}, {"id": parts.path, "name": name, **found}

    _get_component = _put_component

    def _put_job(self, name, parts, _headers, body):
        if name in self.jobs:
            return refusal(409, "Conflict", f"A job with the name {name} exists.")
        found = json.loads(body)
        self.bodies[name] = copy.deepcopy(found)
        found |= {"id": parts.path, "name": name, "type": "Microsoft.MachineLearningServices/workspaces/jobs"}
        self.clock += 1
        found["systemData"] = {"createdAt": f"2026-01-02T03:00:{self.clock:02d}.0000000+00:00"}
        studio = {"jobServiceType": "Studio", "endpoint": f"https://ml.azure.com/runs/{name}"}
        found["properties"] |= {"status": "Queued", "services": {"Studio": studio}}
        self.jobs[name] = found
        self.starts(name, self.bodies[name])
        if self.loses_answers:
            self.loses_answers -= 1
            return None, {}, None
        return 201, {}, found

    def _get_job(self, name, _parts, _headers, _body):
        if name not in self.jobs:
            return refusal(404, "UserError", f"Job {name} was not found in this workspace.")
        return 200, {}, self.jobs[name]

    def _get_jobs(self, _name, parts, _headers, _body):
        query = dict(urllib.parse.parse_qsl(parts.query))
        first = int(query.get("$skip", 0))
        marked = [job for job in self.jobs.values() if query.get("tag", "") in job["properties"]["tags"]]
        page = {"value": marked[first : first + self.page_size]}
        if first + self.page_size < len(marked):
            more = urllib.parse.urlencode({**query, "$skip": first + self.page_size})
            page["nextLink"] = f"{self.endpoint}{parts.path}?{more}"
        return 200, {}, page

    def _put_environment(self, name, parts, _headers, body):
        version = parts.path.rpartition("/")[2]
        found = json.loads(body)
        kept = self.environments.setdefault(name, {})
        if version in kept and kept[version]["properties"]["image"] != found["properties"]["image"]:
            return refusal(409, "Conflict", f"Environment {name}:{version} exists.")
        kept[version] = {"id": parts.path, "name": version, **found}
        return 201, {}, kept[version]

    def _get_environments(self, name, _parts, _headers, _body):
        if name not in self.environments:
            return refusal(404, "UserError", f"Environment container {name} was not found.")
        return 200, {}, {"value": list(self.environments[name].values())}

    def push(self, name, version, pushed_at="2026-01-02T03:04:05+00:00"):
        """Let an image be registered."""
        image = f"{_ESTATE.registry_server}/{name}@sha256:{version}"
        properties = {"image": image, "tags": {"mrikit_pushed": pushed_at}}
        path = f"{_SCOPE}/environments/{name}/versions/{version}"
        self.environments.setdefault(name, {})[version] = {"id": path, "name": version, "properties": properties}

    def _post_cancel(self, name, _parts, _headers, _body):
        self.set_status(name, "Canceled")
        return 200, {}, None

    def _patch_run(self, name, _parts, _headers, body):
        self.jobs[name]["properties"]["tags"] |= json.loads(body).get("tags") or {}
        return 200, {}, {"runId": name}

    def _get_details(self, name, _parts, _headers, _body):
        return (200, {}, self.details[name]) if name in self.details else refusal(404, "UserError", "no such run")

    def _get_children(self, name, parts, _headers, _body):
        query = dict(urllib.parse.parse_qsl(parts.query))
        first = int(query.get("$continuationtoken", 0))
        runs = self.children.get(name, [])
        page = {
            "value": [{**run, "status": self._status(run["runId"])} for run in runs[first : first + self.page_size]]
        }
        if first + self.page_size < len(runs):
            page["continuationToken"] = str(first + self.page_size)
        return 200, {}, page

    def _status(self, run):
        return self.details.get(run, {}).get("status", "Queued")

    def _file(self, path, query, headers):
        if "Authorization" in headers or "sig=SECRETOFLOG" not in query:
            return refusal(403, "AuthenticationFailed", f"{headers}")
        return self._content(path, headers)

    def _content(self, path, headers):
        if path not in self.files:
            return refusal(404, "BlobNotFound", "no such log")
        data = self.files[path]
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", headers["Range"]).groups())
        if first >= len(data):
            return 416, {"Content-Range": f"bytes */{len(data)}"}, {}
        piece = data[first : last + 1]
        return 206, {"Content-Range": f"bytes {first}-{first + len(piece) - 1}/{len(data)}"}, piece


def _serve(handler):
    """As `https_server` does, for more verbs, and for files besides JSON."""
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
    answer = handler.https_server.answer
    status, headers, value = answer(handler.command, handler.path, dict(handler.headers), body)
    if status is None:
        handler.close_connection = True
        return
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
        handler.send_response(status)
        for key, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(key, text)
        handler.end_headers()
        handler.wfile.write(data)


_ROUTES = {
    "discovery": r"/discovery",
    "log": r"/logs/.*",
    "own log": r"/azureml/ExperimentRun/dcid[.][^/]+/user_logs/.*",
    "workspace": re.escape(_SCOPE),
    "compute": re.escape(_SCOPE) + r"/computes/([^/]+)",
    "component": re.escape(_SCOPE) + r"/components/([^/]+)/versions/[^/]+",
    "environment": re.escape(_SCOPE) + r"/environments/([^/]+)/versions/[^/]+",
    "environments": re.escape(_SCOPE) + r"/environments/([^/]+)/versions",
    "jobs": re.escape(_SCOPE) + r"/jobs",
    "job": re.escape(_SCOPE) + r"/jobs/([^/]+)",
    "cancel": re.escape(_SCOPE) + r"/jobs/([^/]+)/cancel",
    "run": r"/history/v1.0" + re.escape(_SCOPE) + r"/experiments/[^/]+/runs/([^/]+)",
    "details": r"/history/v1.0" + re.escape(_SCOPE) + r"/runs/([^/]+)/details",
    "children": r"/history/v1.0" + re.escape(_SCOPE) + r"/runs/([^/]+)/children",
}


def _kind(method, path):
    """The operation of a request, and the name in it."""
    for operation, pattern in _ROUTES.items():
        match = re.fullmatch(pattern, path)
        if match:
            return f"{method} {operation}", match.group(1) if match.groups() else ""
    raise AssertionError(f"nothing is at {method} {path}")
