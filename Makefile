# The developer's manual: every recipe is one thing you do with this repository.
# PYTHON is the interpreter that .venv is made of (3.11 or later, with a shared libpython).

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = pyproject.toml setup.py $(wildcard module/*.c module/*.h hooks/*.c hooks/*.h)

.PHONY: demo test check lint types imports smoke bench names sanitize format build clean

# See it work: a 3-shard cluster, 336,776 real flights, five queries with their plans and times.
demo: $(VENV)/demo
	$(BIN)/gearsql demo

# Run the tests on real servers. One file: make test TESTS=tests/cli
# Those in ALONE have clocks in them, and run one after the other; the others share the processors, in the folders' order:
# that of xdist has files of few tests last, which are long ones here.
TESTS ?=
TOGETHER = $(filter-out $(ALONE) tests/__pycache__/,$(wildcard tests/*/ tests/test_*.py))
ALONE = tests/faults/ tests/cluster/
test: $(VENV)/dev
ifeq ($(TESTS),)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 $(TOGETHER)
	$(BIN)/python -m pytest $(ALONE)
else
	$(BIN)/python -m pytest $(TESTS)
endif

# What CI runs.
check: lint types imports test

# Style of Python and C.
lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror module/*.c module/*.h hooks/*.c hooks/*.h

# mypy --strict.
types: $(VENV)/dev
	$(BIN)/mypy

# Who may import whom (docs/architecture.md).
imports: $(VENV)/dev
	$(BIN)/lint-imports

# Another Python, quickly: make smoke VENV=.venv-313 PYTHON=python3.13
smoke: $(VENV)/bin/python
	$(BIN)/python -m pip install -q setuptools -e . pytest pytest-timeout
	$(BIN)/python -m pytest -q tests/test_smoke.py

# Time gearsql and its peers over 1,000,000 hashes, and the server's memory (benchmarks/results.md). ADBC_PYTHON is a
# Python of 3.12 or later that has adbc-driver-redis and pyarrow; without one that peer is left out, and said so.
bench: $(VENV)/dev
	$(BIN)/python -m pip install -q -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks.run $(if $(ADBC_PYTHON),--adbc-python $(ADBC_PYTHON))
	$(BIN)/python -m benchmarks.memory

# The module under AddressSanitizer and UBSan in Redis 7.0, with the tests that make it work (tests/health); 45 minutes.
sanitize: $(VENV)/dev
	$(BIN)/python -m pytest -p tests.health.sanitized tests/module tests/cluster tests/shard tests/hooks

# The functions that a shard lets a stage call, from DuckDB's catalog: after another DuckDB, or a change to the lists.
names: $(VENV)/dev
	$(BIN)/python -m gearsql.sql.stage_functions > module/check_names.h.new
	mv module/check_names.h.new module/check_names.h

# A server with the module under valgrind: no byte may be lost in the module's frames; 5 minutes. Needs valgrind (apt).
valgrind: $(VENV)/dev
	command -v valgrind >/dev/null || apt-get install -y -qq valgrind
	$(BIN)/python -m tests.health.valgrind

# 1,000,000 changed inputs to each reader of others' bytes (tests/fuzz); 25 minutes. One: make fuzz TARGETS=stage
TARGETS ?=
fuzz: $(VENV)/dev
	$(BIN)/python -m tests.fuzz $(TARGETS)

# Memory over 50,000 queries, then signals under load (benchmarks/soak.md); two hours.
soak: $(VENV)/dev
	$(BIN)/python -m benchmarks.soak

# Rewrite Python and C in the house style.
format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i module/*.c module/*.h hooks/*.c hooks/*.h

# Rebuild the server module and the sessions' extension in place after a change in module/ or hooks/.
build: $(VENV)/dev
	$(BIN)/python setup.py -q build_ext --inplace

clean:
	rm -rf $(VENV) build dist *.egg-info gearsql/_module/*.so gearsql/shard/*.so .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/dev: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install -q setuptools -e '.[dev]'
	touch $@

$(VENV)/demo: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install -q '.[demo]'
	touch $@
