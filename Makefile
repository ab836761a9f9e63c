# Every target sets up what it needs on a machine that has only Python (3.10 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
# Tests start many processes, and none should have to compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench bench-real browser clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # as pip does, on all cores instead of one
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tokenworth demo --out out/demo

# The page tests drive a real browser; where it cannot be installed they are skipped with a reason.
browser:
	@sh tools/install-browser.sh

# One thread a process, two processes: on two cores the faster way round.  Everything runs with dtype auto as float32,
# then what computes in auto (marked: formats) as bfloat16, whatever this machine is; the second pass runs in any case.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile
define in_both_formats
@failed=0; export OMP_NUM_THREADS=1; \
echo 'tests, dtype auto as float32'; TESTS_AUTO=float32 $(PYTEST) $(1) || failed=1; \
echo 'tests that compute in dtype auto, as bfloat16'; TESTS_AUTO=bfloat16 $(PYTEST) $(2) || failed=1; \
exit $$failed
endef

test: $(STAMP) browser
	$(call in_both_formats,-m "not slow",-m "formats and not slow")

check: $(STAMP) browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(call in_both_formats,,-m formats)

# An hour on two cores; every table is explained in docs/benchmarks.md.  Real texts and models, and the peers'
# environment, are used where SHARED and PEERS say.
SHARED ?= ../shared
PEERS ?= out/peers
bench: $(STAMP)
	$(BIN)/python bench/one_pass.py
	$(BIN)/python bench/layer_scale.py
	$(BIN)/python bench/pretraining.py
	$(BIN)/python bench/engines.py
	@test -d $(SHARED)/data/tasks || echo "no real texts at $(SHARED) (set SHARED): the other benchmarks are left out"
	@test ! -d $(SHARED)/data/tasks || $(MAKE) --no-print-directory bench-real

bench-real: $(STAMP)
	$(BIN)/python bench/forecasts.py --data $(SHARED)/data/tasks --models $(SHARED)/models
	$(BIN)/python bench/exactness.py --data $(SHARED)/data/tasks --models $(SHARED)/models --texts 100
	$(BIN)/python bench/published_ntps.py --data $(SHARED)/data/tasks --model $(SHARED)/models/wikinovels-14m
	$(BIN)/python bench/training.py --data $(SHARED)/data/tasks --models $(SHARED)/models
	$(BIN)/python bench/number_formats.py --data $(SHARED)/data/tasks --models $(SHARED)/models
	$(BIN)/python bench/route_forecasts.py --data $(SHARED)/data/tasks --models $(SHARED)/models
	$(BIN)/python bench/memory_growth.py --model $(SHARED)/models/stories260k
	$(BIN)/python bench/peers/compare.py --env $(PEERS) --data $(SHARED)/data/tasks --texts 400 --nine

clean:
	rm -rf $(VENV) out build dist
