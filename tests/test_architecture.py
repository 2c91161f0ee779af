"""What must hold of the house as a whole."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for part in ("mrikit", "jobs", "infra") for path in (ROOT / part).rglob("*.py"))
HEAVY = {"torch", "h5py", "scipy", "matplotlib", "ismrmrd"}


def modules_after(code):
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_loads_no_torch_and_nothing_else_that_is_heavy():
    loaded = modules_after("from mrikit.commands.app import app\ntry: app(['--help'])\nexcept SystemExit: pass")
    assert "mrikit.commands.app" in loaded
    assert not loaded & (HEAVY | {"numpy", "pulumi", "azure"})


def test_the_data_commands_load_no_torch():
    loaded = modules_after(
        "import mrikit.volumes, mrikit.volumes.index, mrikit.masks, mrikit.storage, mrikit.commands.data"
    )
    assert "h5py" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_begins_with_what_it_does_and_stays_short(path):
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "every file says in its first line what it does"
    assert docstring.splitlines()[0].endswith((".", ":"))
    assert len(text.splitlines()) <= 500


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_fit_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 60, f"{path.name}: {node.name} has {length} lines"


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name == "__init__.py"], ids=lambda path: path.parent.name
)
def test_every_public_name_exists(path):
    package, *names = path.parent.relative_to(ROOT).parts
    module = importlib.import_module(".".join(["mrikit.commands" if package == "jobs" else package, *names]))
    assert [name for name in getattr(module, "__all__", []) if not hasattr(module, name)] == []


def test_the_commands_of_the_estate_load_nothing_that_is_heavy():
    loaded = modules_after(
        "import mrikit.estate.preview, mrikit.estate.declared, mrikit.commands.infra, mrikit.commands.doctor"
    )
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.partition(".")[0] in ("pulumi", "infra", "azure")}


def test_every_room_has_its_row_in_the_design():
    design = (ROOT / "docs" / "design.md").read_text()
    rooms = {path.stem if path.is_file() else f"{path.name}/" for path in (ROOT / "mrikit").iterdir()}
    for room in sorted(rooms - {"__init__", "__pycache__/"}):
        assert f"| `{room}` |" in design, f"{room} has no row in docs/design.md"


def test_no_folder_with_code_is_ignored_by_git():
    def git(*words, given=""):
        done = subprocess.run(["git", *words], cwd=ROOT, input=given, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.stdout.splitlines()

    folders = {str(Path(name).parent) for name in git("ls-files", "*.py")}
    assert {"mrikit/training", "jobs", "tests"} <= folders
    new = "\n".join(f"{folder}/a_new_file.py" for folder in sorted(folders))
    assert git("check-ignore", "--no-index", "--stdin", given=new) == []


def test_the_rooms_of_the_design_stand_in_the_order_of_the_layers():
    design = (ROOT / "docs" / "design.md").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["mrikit"])
    height = {room.strip(): number for number, layer in enumerate(layers) for room in re.split(r"[|:]", layer)}
    table = design.partition("| `mrikit/` room |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)/?` \|", table, re.MULTILINE)
    assert rows == sorted(rows, key=height.__getitem__)


def test_every_path_of_the_design_is_there():
    design = (ROOT / "docs" / "design.md").read_text()
    paths = set(re.findall(r"`((?:mrikit|jobs|infra|tests|docs)/[\w/.]+\.\w+)`", design))
    assert len(paths) > 40, "the five walks name their files"
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
