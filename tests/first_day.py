"""A whole estate of stand-ins for `mrikit doctor --run`: one control plane, Azurite behind a gate, a vault, a source.

Jobs really run: the command that Azure ML is given does its work in this process, as the token server's identity.
"""

import contextlib
import functools
import http.server
import importlib
import io
import os
import re
import shlex
import threading
import urllib.parse
from dataclasses import replace
from pathlib import Path

from blob_gate import BlobGate
from estates import example_estate
from fake_arm import FakeArm
from fake_azureml import FakeAzureml
from fake_azureml import _serve as serve_json_and_bytes
from fake_datafactory import FakeDataFactory
from https_server import HttpsServer, refusal

from mrikit.commands import doctor_run
from mrikit.commands.doctor import doctor
from mrikit.errors import MrikitError
from mrikit.estate.first_day import container
from mrikit.estate.first_day.job import JobPatience
from mrikit.storage.blob import container_client
from mrikit.storage.estate import save_estate
from mrikit.transfer.datafactory import DataFactorySettings

CLUSTERS = tuple(replace(one, max_nodes=4) for one in example_estate().clusters)
CONTAINERS = ("raw", "datasets", "runs")
QUICK = DataFactorySettings(num_runs=1, interval_s=0.001, settle_s=0.01, max_failures=3, retry_wait_s=0.001)
SIZE_BYTES = 1000


class World:
    """Every service of an estate; change its parts to plant what goes wrong."""

    def __init__(self, folder, monkeypatch, vault):
        certificate = Path(os.environ["REQUESTS_CA_BUNDLE"])
        key = certificate.with_name("key.pem")
        self.gate = BlobGate(os.environ["MRIKIT_BLOB_ENDPOINT"], certificate, key)
        self.arm, self.azureml = FakeArm(certificate, key), FakeAzureml(certificate, key)
        self.factory, self.vault = FakeDataFactory(certificate, key), vault
        self.arm.roles["localhost"] = self.arm.roles["mrikitdevwork"]
        self.arm.limits["totalLowPriorityCores"] = 200
        self.azureml.starts = self.run_job
        for name in ("mrikit", "mrikit-cpu"):
            self.azureml.push(name, "0" * 12)
        self.factory_identity = "SystemAssigned"
        self.rules = ["factories/mrikit-dev-factory", "workspaces/mrikit-dev-workspace"]  # let in by firewalls
        self.origins = ["https://ml.azure.com"]
        self.credentials = "None"
        self.budgets = [{"properties": {"amount": 300}}]
        self.refuses_readers = False  # of accounts and budgets
        self.before_job = lambda: None
        self.failure = None  # (code, message) of the next jobs, which do not begin
        self.mlflow_server = ""  # another one than knows the job's run
        self.server = HttpsServer(self.answer, certificate, key)
        self.arm.next_host = self.server.endpoint
        for verb in ("GET", "PUT", "POST", "PATCH"):
            setattr(self.server._server.RequestHandlerClass, f"do_{verb}", serve_json_and_bytes)
        served = folder / "served"
        served.mkdir()
        (served / "small.bin").write_bytes(b"a" * SIZE_BYTES)
        handler = functools.partial(_Quiet, directory=str(served))
        self._source = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._source.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.source = f"http://127.0.0.1:{self._source.server_port}/small.bin"
        self._set(folder, monkeypatch)

    def close(self):
        for one in (self.gate, self.arm, self.azureml, self.factory, self.server):
            one.close()
        self._source.shutdown()
        self._source.server_close()

    def link(self, **changes):
        """Link the estate, with some keys changed."""
        endpoint = self.gate.endpoint
        estate = example_estate(
            blob_endpoint=endpoint,
            runs_endpoint=endpoint,
            work_endpoint=self.azureml.endpoint,
            vault_uri=self.vault.uri,
            clusters=CLUSTERS,
        )
        save_estate(replace(estate, **changes))

    def blobs(self):
        """Everything that is in the containers."""
        return [blob.name for name in CONTAINERS for blob in container_client(name).list_blobs()]

    def answer(self, method, path, headers, body):
        where = urllib.parse.unquote(urllib.parse.urlsplit(path).path)
        for pattern, answer in (
            (r".*(/permissions|/vmSizes|/usages)|/subscriptions/[^/]+(/providers/[^/]+)?", self.arm.answer),
            (r".*/factories/[^/]+", self._tell_factory),
            (r".*/Microsoft\.DataFactory/.*", self.factory.answer),
            (r".*/storageAccounts/[^/]+(/blobServices/default)?", self._tell_account),
            (r".*/budgets", self._tell_budgets),
            (r".*/datastores/[^/]+", self._tell_datastore),
        ):
            if re.fullmatch(pattern, where):
                return answer(method, path, headers, body)
        return self.azureml.answer(method, path, headers, body)

    def run_job(self, name, body):
        """What a node does with a job that the workspace took."""
        if self.failure:
            self.azureml.set_status(name, "Failed", error=self.failure)
            return
        if self.azureml.cluster.get("nodeStateCounts") or self.azureml.cluster.get("errors"):
            return  # it waits for a node
        program, *words = shlex.split(body["properties"]["command"])
        assert (program, *words[:2]) == ("mrikit", "doctor", "--container")
        options = {name.lstrip("-"): value for name, value in zip(words[2::2], words[3::2], strict=True)}
        self.before_job()
        if self.mlflow_server:
            os.environ["MLFLOW_TRACKING_URI"] = self.mlflow_server  # put back with the test's environment
        printed, error = io.StringIO(), None
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                doctor(is_container=True, **options)
        except MrikitError as found:
            printed.write(f"{found}\n")
            error = ("UserError", "Execution failed. User process 'mrikit' exited with status code 1. Check the log")
        self.azureml.set_status(name, "Failed" if error else "Completed", error=error, log=printed.getvalue())

    def _run_of_mlflow(self, monkeypatch):
        """A server that knows the job's run, as Azure ML names one to each job."""
        monkeypatch.setenv("MLFLOW_TRACKING_URI", self.mlflow_folder.as_uri())
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        client = importlib.import_module("mlflow").MlflowClient()
        monkeypatch.setenv("MLFLOW_RUN_ID", client.create_run("0").info.run_id)

    def _set(self, folder, monkeypatch):
        monkeypatch.setenv("MRIKIT_BLOB_ENDPOINT", self.gate.endpoint)
        monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", self.server.endpoint)
        monkeypatch.setenv("MRIKIT_ESTATE", str(folder / "estate.json"))
        monkeypatch.setenv("MRIKIT_JOBS", str(folder / "jobs"))
        monkeypatch.setenv("MRIKIT_CACHE", str(folder / "cache"))
        monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")  # the vendor's client writes its cloud there
        monkeypatch.setattr(container, "_ROLES_WAIT_S", 0.0)
        self.patience = {
            "roles_wait_s": 0.0,
            "look_s": 0.001,
            "job": JobPatience(look_s=0.001, most_s=600.0),
            "copy": QUICK,
        }
        make = doctor_run._day
        monkeypatch.setattr(doctor_run, "_day", lambda *given, **named: replace(make(*given, **named), **self.patience))
        self.link()
        self.mlflow_folder = folder / "mlflow"
        self._run_of_mlflow(monkeypatch)

    def _tell_factory(self, _method, path, _headers, _body):
        return 200, {}, {"id": path, "identity": {"type": self.factory_identity}}

    def _tell_account(self, _method, path, headers, _body):
        if self.refuses_readers:
            return refusal(403, "AuthorizationFailed", f"No, {headers['Authorization']}.")
        if "/blobServices/" in path:
            return 200, {}, {"properties": {"cors": {"corsRules": [{"allowedOrigins": self.origins}]}}}
        group = path.partition("/Microsoft.Storage/")[0]
        kinds = {"factories": "Microsoft.DataFactory", "workspaces": "Microsoft.MachineLearningServices"}
        rules = [{"resourceId": f"{group}/{kinds[one.partition('/')[0]]}/{one}"} for one in self.rules]
        return 200, {}, {"properties": {"networkAcls": {"resourceAccessRules": rules}}}

    def _tell_budgets(self, _method, _path, headers, _body):
        if self.refuses_readers:
            return refusal(403, "AuthorizationFailed", f"No, {headers['Authorization']}.")
        return 200, {}, {"value": self.budgets}

    def _tell_datastore(self, _method, _path, _headers, _body):
        return 200, {}, {"properties": {"credentials": {"credentialsType": self.credentials}}}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words):
        pass
