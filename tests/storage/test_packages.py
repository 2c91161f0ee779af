"""Without the Azure packages everything that needs them says so on one line."""

import subprocess
import sys

import pytest

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED or name in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
BLOCKED = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Blocker())
sys.argv[0] = "mrikit"
from mrikit.commands.app import main
main()
"""


@pytest.mark.parametrize(
    ("words", "blocked"),
    [
        (["data", "index"], "azure,requests"),
        (["weights", "info"], "azure,requests"),
        (["report"], "azure,requests"),
        (["report"], "azure.storage,azure.identity"),
        (["simulate", "knee", "--out"], "azure.identity"),
    ],
    ids=["index", "weights", "report", "report without the service", "simulate without an identity"],
)
def test_missing_packages_are_named_with_how_to_install_them(words, blocked, tmp_path):
    environment = {"AZURE_STORAGE_ACCOUNT": "mydata", "MRIKIT_CACHE": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER, blocked, *words, "az://data/run"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("mrikit: Azure needs packages that are not installed; `pip install 'mrikit[azure]'`")
    assert done.stderr.count("\n") == 1
