# Everything from nothing: Python 3.11, make and PyPI are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
RATE ?= 40
DURATION ?= 120
SCENARIO ?= classify
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# ONNX Runtime for GPUs takes the folder of the one for processors, which pip brings back beside it.
install = $(PIP) install -c constraints.txt -e '$(1)' && \
  if $(PIP) show onnxruntime-gpu >/dev/null 2>&1 && $(PIP) show onnxruntime >/dev/null 2>&1; then \
  $(PIP) uninstall --yes onnxruntime onnxruntime-gpu && \
  $(PIP) install -c constraints.txt --no-deps onnxruntime-gpu; fi

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-gpu setup-train run test test-train lint loadtest engines peers clean
.PHONY: prove-image lock sbom audit licences chaos soak fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: setup ## set up what is missing, start Triton and the API on PORT (8080)
	@exec $(BIN)/sub50 serve --port $(PORT)

setup: $(VENV)/serve.done engines ## everything short of starting, into .venv

engines: $(VENV)/serve.done ## build the default engines that are not up to date
	@$(BIN)/sub50 engines build

setup-dev: setup $(VENV)/dev.done ## and what the tests need

setup-train: $(VENV)/train.done ## PyTorch and the training side, into .venv

setup-gpu: $(VENV)/serve.done ## ONNX Runtime for NVIDIA GPUs, in the place of the one for processors
	@$(call install,.[gpu])

# Tests of time can fail for what else runs on a busy machine. What failed is asked once more, by
# itself; what fails again fails the run. A test that needs it is one to mend.
tested = $(BIN)/python -m pytest $(1) || { test $$? -eq 1 && echo "once more, by themselves:" && \
  $(BIN)/python -m pytest $(1) -n 0 --last-failed --last-failed-no-failures none; }

# What runs a real Triton or measures a load needs the machine to itself; all else goes by two.
TESTED := not train and not image
LOADED := tests/live tests/loadtest
test: setup-dev lint ## the tests, with a real Triton
	$(call tested,$(LOADED:%=--ignore=%) -m "$(TESTED)" -n 2 --dist loadfile $(UNLOADED_OPTIONS))
	$(call tested,$(LOADED) -m "$(TESTED)" $(PYTEST_OPTIONS))

# Each of the two has a core: PyTorch's threads would wait for each other's turns.
test-train: setup-dev $(VENV)/train.done ## the tests of the training side
	export OMP_NUM_THREADS=1; $(call tested,-m train -n 2 --dist loadfile $(PYTEST_OPTIONS))

peers: setup $(VENV)/peers.done ## ours beside a hand-written service and LitServe (PEERS_OPTIONS)
	$(BIN)/python -m loadtest.peers.bench $(PEERS_OPTIONS)

loadtest: setup $(VENV)/loadtest.done ## start the service, load it for two minutes, and judge it
	$(BIN)/sub50 loadtest verdict --serve --rate $(RATE) --duration $(DURATION) \
	  --scenario $(SCENARIO) --report build/loadtest $(LOADTEST_OPTIONS)

chaos: setup ## break the service in every way under load; writes RELIABILITY.md
	$(BIN)/python -m chaos --write $(CHAOS_OPTIONS)

soak: setup $(VENV)/loadtest.done ## an hour at 70 % of the capacity: does anything grow? (SOAK_OPTIONS)
	$(BIN)/python -m chaos.soak --write $(SOAK_OPTIONS)

fuzz: setup-dev ## hostile input by the tens of thousands; writes RELIABILITY.md (FUZZ_OPTIONS)
	$(BIN)/python -m fuzz --write $(FUZZ_OPTIONS)

prove-image: $(VENV)/dev.done ## carry the Dockerfile out and run what it makes (root, mmdebstrap)
	REQUIRE_IMAGE=1 $(BIN)/python -m pytest -m image $(PYTEST_OPTIONS)

LISTS := deploy/docker/requirements
LOCK = $(BIN)/uv pip compile --quiet --no-header --generate-hashes --constraints constraints.txt \
  --python-version 3.11 --python-platform x86_64-manylinux_2_35 --index-url https://pypi.org/simple
NO_TRITON := --overrides $(LISTS)/without-triton.in
NO_ENGINES := --overrides $(LISTS)/without-engines.in

lock: $(VENV)/audit.done ## write the images' lists of packages anew, with their hashes
	$(LOCK) pyproject.toml --extra otel $(NO_TRITON) $(NO_ENGINES) -o $(LISTS)/api.txt
	$(LOCK) pyproject.toml $(NO_TRITON) -o $(LISTS)/engines.txt
	$(LOCK) pyproject.toml --extra loadtest $(NO_TRITON) $(NO_ENGINES) -o $(LISTS)/loadtest.txt
	$(LOCK) pyproject.toml --extra otel -o $(LISTS)/all-in-one.txt
	$(LOCK) $(LISTS)/build.in -o $(LISTS)/build.txt
	$(LOCK) --no-deps $(LISTS)/encoder.in -o $(LISTS)/encoder.txt

# What ships in any of the images, installed as they install it.
SHIPPED := build/shipped
SHIPPED_LISTS := -r $(LISTS)/all-in-one.txt -r $(LISTS)/loadtest.txt

$(SHIPPED)/done: $(wildcard $(LISTS)/*.txt) | $(VENV)/bin/python
	@echo "installing what the images ship into $(SHIPPED) …"
	@rm -rf $(SHIPPED)
	@$(PYTHON) -m venv --without-pip $(SHIPPED)
	@$(PIP) --python $(SHIPPED)/bin/python install --require-hashes --no-deps --only-binary :all: \
	  $(SHIPPED_LISTS)
	@touch $@

sbom: $(VENV)/audit.done $(SHIPPED)/done ## a bill of materials of what ships: build/sbom.json (CycloneDX)
	$(BIN)/cyclonedx-py environment $(SHIPPED)/bin/python --pyproject pyproject.toml \
	  --mc-type application --output-reproducible --of JSON -o build/sbom.json

licences: $(VENV)/audit.done $(SHIPPED)/done ## write deploy/docker/THIRD_PARTY_LICENSES.md anew
	$(BIN)/pip-licenses --python $(SHIPPED)/bin/python --with-system --from=mixed --with-urls \
	  --format=markdown --output-file deploy/docker/THIRD_PARTY_LICENSES.md

# Strict: what could not be asked for counts as a failure, never as clean.
audit: $(VENV)/audit.done ## ask for known holes in what ships (asks PyPI, so it needs the network)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip $(SHIPPED_LISTS) -r $(LISTS)/build.txt

lint: $(VENV)/dev.done ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove the environment and the built engines
	rm -rf $(VENV) model_repository/*/[0-9]*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/serve.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the serving environment into $(VENV) …"
	@$(call install,.)
	@touch $@

$(VENV)/dev.done: pyproject.toml constraints.txt $(VENV)/serve.done
	@echo "installing what the tests need …"
	@$(call install,.[dev])
	@touch $@

$(VENV)/loadtest.done: pyproject.toml constraints.txt $(VENV)/serve.done
	@echo "installing the load generator …"
	@$(call install,.[loadtest])
	@touch $@

$(VENV)/train.done: pyproject.toml constraints.txt $(VENV)/serve.done
	@echo "installing PyTorch and the training side …"
	@$(call install,.[train])
	@touch $@

$(VENV)/audit.done: pyproject.toml constraints.txt $(VENV)/serve.done
	@echo "installing what looks after the packages that ship …"
	@$(call install,.[audit])
	@touch $@

$(VENV)/peers.done: pyproject.toml constraints.txt $(VENV)/serve.done
	@echo "installing the peers …"
	@$(call install,.[peers])
	@touch $@
