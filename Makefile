# `make demo` and `make test` are all that a newcomer needs; both set up what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow test-browser lint bench coverage soak slurm-test generate clean
.DELETE_ON_ERROR:

setup: .venv/ready

# torch first and pinned exactly: a range would fetch gigabytes of CUDA packages on a machine without a GPU.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cellwise needs Python 3.11 or newer; type make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/cellwise study demo

test: setup
	$(BIN)/pytest -n auto

# What starts many processes and takes minutes: the other half of the proofs of sweeps, signals and data parallel runs.
# Also what reads radar files and finds motion, with pysteps itself, which is built from source: a C compiler is needed.
test-slow: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[nowcasting]'
	$(BIN)/pytest -n auto -m slow

# The page, static and live, in Debian's chromium without a window: apt-get install chromium, or any chromium on the PATH.
test-browser: setup
	$(BIN)/pytest -m browser tests/browser

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Half an hour on a quiet machine, one thread: runs/bench/<time> with CSV and report.html. JAX is installed for it alone.
# To publish: cp runs/bench/<time>/{bench.json,*.csv} experiments/speed/results/ && make generate
bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/cellwise bench

# How often each interval holds the truth, by simulation: coverage.csv and the table of docs/statistics.md. Ten minutes.
coverage: setup
	$(BIN)/python -m cellwise.compare.coverage
	$(BIN)/python -m tests.compare.coverage_table

# 200 short runs while processes are killed at random: nothing lost, nothing done twice, the same bits. Ten minutes or more.
soak: setup
	$(BIN)/python -m tests.soak

# launcher=slurm on a real SLURM of one node, made of Debian 12's packages in a temporary folder. Some minutes; needs apt.
slurm-test: setup
	$(BIN)/pytest -m slurm tests/slurm

# conf/cell/ and the README's table of cells, from the registry; its table of speed, from experiments/speed/results/. Tests
# fail when they are stale.
generate: setup
	$(BIN)/python -m cellwise.sweep.vocabulary
	$(BIN)/python -m tests.cells.readme_table
	$(BIN)/python -m tests.bench.readme_table

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
