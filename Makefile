# The README's two commands and what CI runs. Everything lives in .venv; nothing else on the machine is touched.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
# One torch thread for each of xdist's processes: more would fight over the same cores.
TEST_ENV = OMP_NUM_THREADS=1 MPLBACKEND=Agg

.PHONY: demo test test-all azurite policies lint types contracts check real clean FORCE

demo: $(VENV)/installed
	$(BIN)/mrikit demo

test: $(VENV)/installed-dev
	$(TEST_ENV) $(BIN)/pytest -n 2 --dist worksteal -m "not slow"

# Also what is long by nature: real Slurm and Docker, processes that are killed again and again, every command of the docs.
test-all: $(VENV)/installed-dev
	$(TEST_ENV) $(BIN)/pytest -n 2 --dist worksteal

# Azure's emulator of Blob, which the tests of az:// use; without it they are skipped. Needs npm.
azurite: .azurite/node_modules/.bin/azurite-blob

.azurite/node_modules/.bin/azurite-blob:
	npm install --silent --no-save --prefix .azurite azurite@3.37.0

# The same main job on the real scanner data of REALDATA (see docs/realdata.md).
REALDATA ?= ../shared/realdata
real: $(VENV)/installed
	PATH="$(abspath $(BIN)):$$PATH" docs/realdata.sh $(REALDATA)

# What the policy pack runs in, under the real engine of the tests in tests/infra; without it they are skipped.
policies: build/policies/installed

build/policies/installed: infra/policies/requirements.txt
	$(PYTHON) -m venv build/policies
	build/policies/bin/pip install --quiet -r infra/policies/requirements.txt
	touch $@

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy and import-linter know no package-dir: they are shown the tree that setup.py describes, made of links.
build/linked: FORCE
	@rm -rf $@ && mkdir -p $@/mrikit
	@ln -s $(CURDIR)/infra $(CURDIR)/pyproject.toml $@ && ln -s $(CURDIR)/mrikit/* $@/mrikit && ln -s $(CURDIR)/jobs $@/mrikit/commands

types: $(VENV)/installed-dev build/linked
	cd build/linked && $(abspath $(BIN))/mypy --cache-dir $(CURDIR)/.mypy_cache

contracts: $(VENV)/installed-dev build/linked
	cd build/linked && PYTHONPATH=. $(abspath $(BIN))/lint-imports --cache-dir $(CURDIR)/.import_linter_cache

check: lint types contracts test-all

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt torch -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
