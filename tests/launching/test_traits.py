"""What is known of a back end before it is loaded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mrikit
from mrikit.errors import ConfigError
from mrikit.launching.backends import BACKENDS, open_backend, rehearsing, traits_of
from mrikit.launching.job import JobSpec
from mrikit.launching.traits import require_known

ROOT = Path(mrikit.__file__).parent


@pytest.mark.parametrize("name", BACKENDS)
def test_a_back_end_is_opened_by_the_name_of_its_traits(name, monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path))
    assert open_backend(name).name == name


@pytest.mark.parametrize("name", [name for name, traits in BACKENDS.items() if traits.has_arrays])
def test_a_back_end_that_says_so_takes_arrays(name):
    assert callable(open_backend(name).submit_array)


def test_an_unknown_back_end_is_told_with_those_that_there_are():
    with pytest.raises(ConfigError, match="--on moon: one of local, docker, slurm, azure"):
        traits_of("moon")


def test_those_that_rehearse_are_named():
    assert rehearsing() == "local or slurm"


def test_traits_load_no_back_end_and_no_client():
    code = "import sys; import mrikit.launching.backends; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if re.fullmatch(r"mrikit\.launching\.\w+\.\w+", name)}
    assert {name.rpartition(".")[2] for name in ours} == {"traits"}
    assert not {"torch", "azure.ai.ml", "azure.storage.blob", "azure.identity"} & set(loaded)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_back_end_does_not_take_is_refused_by_name(name):
    spec = JobSpec(name="a", command=("tasks",), folder="/", resources={"moons": "2"})
    with pytest.raises(ConfigError, match=rf"--resource moons=2: --on {name} takes {traits_of(name).resources[0]}"):
        require_known(spec, traits_of(name))


def test_callers_ask_for_traits_and_name_no_back_end():
    files = [*ROOT.glob("launching/*.py"), *ROOT.parent.glob("jobs/**/*.py")]
    assert len(files) > 30
    named = [path.name for path in files if re.search(r"""["'](docker|slurm|azure)["']""", path.read_text())]
    assert named == []
