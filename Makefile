# make repro · make test · make test-all · make lint · make docs · make bench · make compare · make cluster · make cpu · make heif · make loaders · make parquet · make timm · make profile · make lock · make audit
# Everything is installed into .venv from requirements.lock; nothing outside this folder is changed.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
# A stage that finds no bytecode compiles half a second of code at each start. Here it is kept beside the code.
unexport PYTHONDONTWRITEBYTECODE
# PyTorch's wheels. cpu: a third of the disk, and the same bytes; cuda: those of requirements.lock, which a GPU needs. As
# last time, or else cpu on Linux without an NVIDIA driver, such as where a container is built: say TORCH=cuda there.
ifndef TORCH
TORCH := $(shell cat .venv/torch 2> /dev/null || { test "$$(uname)" = Linux && ! test -e /proc/driver/nvidia/version && \
	! command -v nvidia-smi > /dev/null && echo cpu; } || echo cuda)
endif
ifeq ($(filter cpu cuda,$(TORCH)),)
$(error TORCH is '$(TORCH)'. Set it to cpu or cuda)
endif
SYNC := .venv/bin/uv pip sync --python .venv/bin/python --system-certs --require-hashes --compile-bytecode
EXTRAS := cluster cpu heif loaders parquet timm

.PHONY: repro test test-all lint docs lock audit bench bench-gpu bench-processors bench-scale $(EXTRAS) compare profile clean

repro: .venv/installed
	python -m tools.repro
	@echo
	@echo "The balanced sheet:  $$(ls augmented/balanced.*)"
	@echo "The copies:          augmented/images"
	@echo "All images, to load: augmented/dataset"
	@echo "The comparison:      results/comparison.svg, results/comparison.csv"
	@echo "All of it, to see:   results/report.html"

# Two processes with one thread each, so that they do not compete for two cores.
test: $(EXTRAS:%=.venv/%)
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

# With the tests that are marked as slow.
test-all: $(EXTRAS:%=.venv/%)
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder -m ""

lint: .venv/installed
	ruff format --check .
	ruff check .
	mypy

bench: .venv/cpu .venv/peers
	PYTHONPATH=.venv/peers python -m benchmarks.speed
	python -m benchmarks.real_input
	python -m benchmarks.pets
	python -m benchmarks.scenes
	python -m benchmarks.pooling
	python -m benchmarks.scenes_recipe
	python -m benchmarks.missing
	python -m benchmarks.evidence
	python -m benchmarks.copies
	python -m benchmarks.from_scratch
	python -m benchmarks.copy_ideas
	python -m benchmarks.near_duplicates
	python -m benchmarks.explanations
	python -m benchmarks.training
	python -m benchmarks.start_up
	python -m benchmarks.many_labels
	python -m benchmarks.many_labels --images 60000 --labels 200 --input-size 64

# For COUNTERWEIGHT_SCHEDULER, features.engine, HEIC images, to load augmented/dataset by Hugging Face's datasets, for
# sheets in Parquet, and for networks of timm.
$(EXTRAS): %: .venv/%

$(EXTRAS:%=.venv/%): .venv/%: requirements-%.lock .venv/installed
	.venv/bin/python tools/locks.py extra .venv/$*.lock $<
	.venv/bin/uv pip install --no-config --python .venv/bin/python --system-certs --require-hashes --no-deps \
		--compile-bytecode -r .venv/$*.lock
	touch $@

# Where there is no GPU, the rows say so.
bench-gpu: .venv/installed
	python -m benchmarks.gpu
	python -m benchmarks.training --gpu

# Needs an emulator: apt-get install qemu-user. Half an hour.
bench-processors: .venv/installed
	python -m benchmarks.processors

# A quarter of an hour on two cores, as long for ten million rows without images, and over an hour for a million images.
bench-scale: .venv/parquet
	dvc repro data/example/dvc.yaml
	python -m benchmarks.scale
	python -m benchmarks.tables
	python -m benchmarks.scale 1000000

# What the speed is compared with, apart from what the project needs.
.venv/peers: benchmarks/peers.txt .venv/installed
	rm -rf $@
	.venv/bin/uv pip install --no-config --python .venv/bin/python --system-certs --require-hashes --no-deps \
		--target $@ -r $<

# Trains every approach of recipes/approaches.yaml. They start from the last commit, so commit first.
compare: .venv/installed
	python -m recipes.compare

docs: .venv/installed
	python -m docs.readme
	python -m docs.augmenters

.PHONY: FORCE
.venv/torch: FORCE
	@mkdir -p .venv; test "$$(cat $@ 2> /dev/null)" = $(TORCH) || echo $(TORCH) > $@

# uv is installed first, by pip, from its own entry in the lock; uv then installs the rest and checks every hash.
# .venv/torch has what was chosen, and .venv/torch-cpu.lock exists where CPU wheels were installed. For uv, such a
# 2.15.0+cpu would do where the lock has 2.15.0.
.venv/installed: requirements.lock .venv/torch
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name yours: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	sed -n '/^uv==/,/^ *# via/p' requirements.lock > .venv/uv.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	rm -f .venv/found.lock
	test $(TORCH) = cuda || .venv/bin/python tools/locks.py cpu .venv/found.lock || test $$? = 3
	if test -e .venv/found.lock; then mv .venv/found.lock .venv/torch-cpu.lock && \
		$(SYNC) --torch-backend cpu .venv/torch-cpu.lock; else $(SYNC) requirements.lock \
		$$(test ! -e .venv/torch-cpu.lock || echo --reinstall-package torch --reinstall-package torchvision) && \
		rm -f .venv/torch-cpu.lock; fi
	touch $@

# After a change of the dependencies in pyproject.toml.
lock:
	uv pip compile --universal --generate-hashes --no-header --group dev pyproject.toml -o requirements.lock
	for extra in $(EXTRAS); do uv pip compile --universal --generate-hashes --no-header --extra $$extra \
		-c requirements.lock pyproject.toml -o requirements-$$extra.lock || exit 1; done

# Known vulnerabilities of the locked packages, where the list can be reached.
audit: .venv/installed
	python -m tools.audit
	for extra in $(EXTRAS); do python -m tools.audit --lock requirements-$$extra.lock || exit 1; done

# Where the time of one stage goes, as a flame graph: make profile STAGE=augment. Its finished work is not used. py-spy
# may end with "No child process" though all is written, where the system has forgotten the command before it asks.
profile: .venv/installed
	rm -f profile-$(STAGE).svg
	COUNTERWEIGHT_CACHE=no-cache COUNTERWEIGHT_CACHE_GB=0 uv tool run py-spy@0.4.1 record --subprocesses --output profile-$(STAGE).svg -- \
		env PATH="$(PATH)" dvc repro --force --single-item $(STAGE) || test -s profile-$(STAGE).svg
	@echo "The flame graph: profile-$(STAGE).svg"

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
