# Every target sets up what it needs on a machine that has only Python (3.10 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test check bench browser clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tokenworth demo --out out/demo

# The page tests drive a real browser; where it cannot be installed they are skipped with a reason.
browser:
	@sh tools/install-browser.sh

# One thread a process, two processes: on two cores the faster way round.
test: $(STAMP) browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

check: $(STAMP) browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

bench: $(STAMP)
	$(BIN)/python bench/one_pass.py

clean:
	rm -rf $(VENV) out build dist
