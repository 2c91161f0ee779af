"""A stand-in for Azure's control plane, as far as Data Factory's runs go; the vendor's client speaks to it over HTTPS.

A run moves one step of its script each time somebody asks for its state, so tests need no clock.
"""

import datetime as dt
import io
import itertools
import json
import re
import tarfile
import threading
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from https_server import HttpsServer, refusal

COPY_PARAMETERS = {
    "baseUrl": {"type": "String"},
    "relativeUrl": {"type": "SecureString"},
    "container": {"type": "String"},
    "folder": {"type": "String", "defaultValue": ""},
    "fileName": {"type": "String"},
}
UNPACK_PARAMETERS = {name: kind for name, kind in COPY_PARAMETERS.items() if name != "fileName"} | {
    "format": {"type": "String"}
}
GOLDEN = Path(__file__).parent / "infra" / "golden" / "dev.json"
_FACTORY = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers/Microsoft\.DataFactory"
    r"/factories/(?P<factory>[^/]+)/(?P<rest>.*)"
)


def deployed_policy(pipeline="copy archive"):
    """What the estate's program says of the copy in a pipeline."""
    resources = json.loads(GOLDEN.read_text())["resources"]
    (found,) = [one["inputs"] for one in resources if one["inputs"].get("pipelineName") == pipeline]
    return found["activities"][0]["policy"]


@dataclass
class Step:
    """What a run tells between two questions."""

    status: str
    activities: list = field(default_factory=list)
    message: str = ""


def activity(status, *, name="copy", read=0, written=0, throughput=0.0, error=None):
    """An activity run as the service tells of one; throughput in KB/s."""
    output = {"dataRead": read, "dataWritten": written, "throughput": throughput, "copyDuration": 3}
    started = {"activityName": name, "activityType": "Copy", "activityRunStart": _now(), "error": error or {}}
    return {**started, "status": status, "output": output, "input": {}}


def going_well(num_bytes):
    """The script of a copy that succeeds."""
    return [
        Step("Queued"),
        Step("InProgress", [activity("InProgress", read=num_bytes // 2, written=num_bytes // 4, throughput=100.0)]),
        Step("Succeeded", [activity("Succeeded", read=num_bytes, written=num_bytes, throughput=120.0)]),
    ]


def failing(code, message):
    """The script of a copy whose activity fails."""
    broken = activity("Failed", error={"errorCode": code, "message": message, "failureType": "UserError"})
    return [Step("InProgress"), Step("Failed", [broken], message=f"Operation on target copy failed: {message}")]


@dataclass
class Run:
    """One run of a pipeline."""

    run_id: str
    pipeline: str
    parameters: dict
    script: list
    position: int = -1
    delivered: bool = False

    @property
    def step(self):
        return self.script[max(self.position, 0)]

    @property
    def is_over(self):
        return self.step.status in ("Succeeded", "Failed", "Cancelled")


class FakeDataFactory:
    """One factory behind `https://localhost:PORT`; change its attributes to change what it does."""

    def __init__(self, certificate, key):
        self.subscription = "0a1b2c3d-0000-4000-8000-00000000000f"
        self.group, self.factory = "mrikit-dev", "mrikit-dev-factory"
        self.pipelines = {"copy archive": COPY_PARAMETERS, "copy and unpack archive": UNPACK_PARAMETERS}
        self.policy = deployed_policy()
        self.runs = {}
        self.scripts = {}  # file name -> steps
        self.faults = defaultdict(list)  # operation -> (status, headers, body), taken one by one
        self.loses_answers = 0  # runs that start although nobody hears of it
        self.answers_runs = threading.Event()  # cleared, no answer to a start ever comes
        self.answers_runs.set()
        self.hides = 0  # queries that do not list runs yet
        self.script = None  # steps of all files that have none of their own
        self.page_size = 2
        self.delivers = deliver
        self.requests = []  # (method, path, headers, body)
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._server = HttpsServer(self.answer, certificate, key)
        self.endpoint = self._server.endpoint

    def close(self):
        self._server.close()

    def add_run(self, pipeline, parameters, script):
        """Start a run, as a request or somebody else does; its id."""
        run_id = f"run-{next(self._ids):04d}"
        self.runs[run_id] = Run(run_id, pipeline, parameters, script)
        self.most_at_once = max(self.most_at_once, sum(not run.is_over for run in self.runs.values()))
        return run_id

    def operations(self):
        """The names of what was asked for, in order."""
        return [_operation(path) for _, path, _, _ in self.requests]

    def answer(self, method, path, headers, body):
        answer = self._answer(method, path, headers, body)
        if _operation(path) == "create_run":
            self.answers_runs.wait()
        return answer

    def _answer(self, method, path, headers, body):
        with self._lock:
            self.requests.append((method, path, headers, body))
            operation = _operation(path)
            if self.faults[operation]:
                return self.faults[operation].pop(0)
            if not headers.get("Authorization", "").startswith("Bearer "):
                return refusal(401, "AuthenticationFailed", "The 'Authorization' header is missing.")
            match = _FACTORY.fullmatch(urllib.parse.unquote(urllib.parse.urlsplit(path).path))
            for key, code in (
                ("subscription", "SubscriptionNotFound"),
                ("group", "ResourceGroupNotFound"),
                ("factory", "ResourceNotFound"),
            ):
                if match[key] != getattr(self, key):
                    return refusal(404, code, f"'{match[key]}' could not be found.")
            return getattr(self, f"_{operation}")(match["rest"].split("/"), json.loads(body or "null"))

    def _get_pipeline(self, parts, _body):
        name = parts[1]
        if name not in self.pipelines:
            return refusal(404, "EntityNotFound", f"The document of pipeline {name} could not be retrieved.")
        return 200, {}, {"name": name, "properties": {"activities": [], "parameters": self.pipelines[name]}}

    def _create_run(self, parts, body):
        name = parts[1]
        if name not in self.pipelines:
            return refusal(404, "EntityNotFound", f"pipeline {name} was not found.")
        declared, given = self.pipelines[name], body or {}
        wrong = [key for key in given if key not in declared or not isinstance(given[key], str)]
        wrong += [key for key in declared if key not in given and "defaultValue" not in declared[key]]
        if wrong:
            # The worst that a service could do: it repeats what it was given.
            return refusal(400, "BadRequest", f"The parameters are invalid: {wrong}; found {json.dumps(given)}")
        run_id = self.add_run(name, given, self.scripts.get(given.get("fileName")) or self.script or going_well(1000))
        if self.loses_answers:
            self.loses_answers -= 1
            return refusal(500, "InternalServerError", "The answer was lost.")
        return 200, {}, {"runId": run_id}

    def _get_run(self, parts, _body):
        run = self.runs.get(parts[1])
        if run is None:
            return refusal(404, "EntityNotFound", f"The document of run {parts[1]} could not be retrieved.")
        run.position = min(run.position + 1, len(run.script) - 1)
        if run.step.status == "Succeeded" and not run.delivered:
            run.delivered = True
            self.delivers(run.parameters)
        return 200, {}, self._tell(run)

    def _cancel_run(self, parts, _body):
        run = self.runs[parts[1]]
        run.script = [*run.script[: run.position + 1], Step("Canceling"), Step("Cancelled")]
        return 200, {}, {}

    def _query_activities(self, parts, body):
        _require_window(body)
        activities = self.runs[parts[1]].step.activities
        if self.policy["secureOutput"]:
            activities = [{**one, "output": {}} for one in activities]  # secure output is not logged
        return 200, {}, {"value": activities}

    def _query_runs(self, _parts, body):
        _require_window(body)
        if self.hides:
            self.hides -= 1
            return 200, {}, {"value": []}
        runs = [run for run in self.runs.values() if all(_passes(run, wanted) for wanted in body.get("filters", []))]
        first = int(body.get("continuationToken") or 0)
        page = {"value": [self._tell(run) for run in runs[first : first + self.page_size]]}
        if first + self.page_size < len(runs):
            page["continuationToken"] = str(first + self.page_size)
        return 200, {}, page

    def _tell(self, run):
        secret = {key for key, kind in self.pipelines[run.pipeline].items() if kind["type"] == "SecureString"}
        parameters = {key: None if key in secret else value for key, value in run.parameters.items()}
        known = {
            "runId": run.run_id,
            "pipelineName": run.pipeline,
            "parameters": parameters,
            "message": run.step.message,
        }
        return {**known, "status": run.step.status, "runStart": _now(), "lastUpdated": _now()}


def deliver(parameters):
    """What the pipeline does: fetch the URL and write the blob."""
    from mrikit.storage import BlobPath, write_bytes

    url = urllib.parse.urljoin(parameters["baseUrl"], parameters["relativeUrl"])
    with urllib.request.urlopen(url) as answer:
        data = answer.read()
    if "format" in parameters:
        mode = {"tar": "r:", "tar.gz": "r:gz"}[parameters["format"]]
        with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as tar:
            for one in tar.getmembers():
                path = BlobPath(parameters["container"], parameters["folder"]) / one.name
                write_bytes(path, tar.extractfile(one).read())
        return
    write_bytes(BlobPath(parameters["container"], parameters.get("folder", "")) / parameters["fileName"], data)


def _operation(path):
    rest = _FACTORY.fullmatch(urllib.parse.unquote(urllib.parse.urlsplit(path).path))["rest"].split("/")
    if rest == ["queryPipelineRuns"]:
        return "query_runs"
    if rest[0] == "pipelineruns" and rest[-1] == "cancel":
        return "cancel_run"
    kinds = {("pipelines", 2): "get_pipeline", ("pipelines", 3): "create_run", ("pipelineruns", 2): "get_run"}
    return kinds.get((rest[0], len(rest)), "query_activities")


def _require_window(body):
    for key in ("lastUpdatedAfter", "lastUpdatedBefore"):
        dt.datetime.fromisoformat(body[key])


def _passes(run, wanted):
    assert wanted["operator"] in ("Equals", "In")
    return {"PipelineName": run.pipeline, "Status": run.step.status}[wanted["operand"]] in wanted["values"]


def _now():
    return dt.datetime.now(dt.UTC).isoformat()
