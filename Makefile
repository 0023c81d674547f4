# `make` lists what there is. OPS, VENV, PYTHON, TORCH, TORCH_INDEX and JOBS go to tools/misc/make_venv.sh,
# TESTS to pytest: make test TESTS='tests/test_models -x'.
VENV ?= .venv
TESTS ?= tests
OPS_VENV := $(VENV)-ops
export PYTHON TORCH TORCH_INDEX JOBS

PY := $(if $(OPS),$(OPS_VENV),$(VENV))/bin/python
DEMO := lite0_plus_shapes
DEMO_DIR := work_dirs/$(DEMO)
DEMO_WEIGHTS := work_dirs/tf_efficientnet_lite0.pth

.PHONY: help venv test demo docs lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' \
	    | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'
	@echo 'Variables: OPS=1  TESTS="-m ops"  PYTHON=python3.11  TORCH=2.12.0  TORCH_INDEX=<wheel index>  VENV=.venv  JOBS=2'

venv:  ## build the environment in .venv; OPS=1: in .venv-ops, with mmcv compiled (15 minutes)
	@OPS=$(OPS) VENV=$(if $(OPS),$(OPS_VENV),$(VENV)) bash tools/misc/make_venv.sh

test: venv  ## run all tests; without OPS=1 those that do without mmcv's operators
	OMP_NUM_THREADS=1 $(PY) -m pytest $(TESTS) -q -n 3 --dist loadfile --no-loadscope-reorder

# --resume starts anew where there is no checkpoint, goes on after a stop, and trains no further
# when the training is finished: running the demo again only tests and draws again.
demo: venv  ## train on drawn images, test, draw pictures (8 minutes on 2 cores, and the environment)
	@echo 'The demo draws 480 images, trains a small network on 400 of them, tests it on the others and draws'
	@echo 'what it finds: about 8 minutes on 2 cores. Ctrl-C stops it; make demo goes on where it was.'
	$(PY) -m mmpfcn convert shapes --out data/shapes
	test -f $(DEMO_WEIGHTS) || $(PY) -m mmpfcn convert efficientnet_lite lite0 $(DEMO_WEIGHTS)
	$(PY) -m mmpfcn train $(DEMO) --work-dir $(DEMO_DIR) --resume
	rm -rf $(DEMO_DIR)/pictures $(DEMO_DIR)/model
	$(PY) -m mmpfcn test $(DEMO) "$$(cat $(DEMO_DIR)/last_checkpoint)" \
	    --work-dir $(DEMO_DIR) --show-dir $(CURDIR)/$(DEMO_DIR)/pictures
	$(PY) -m mmpfcn publish "$$(cat $(DEMO_DIR)/last_checkpoint)" $(DEMO_DIR)/model
	$(PY) -m mmpfcn predict data/shapes/val --model $(DEMO_DIR)/model --overwrite \
	    --out-dir $(DEMO_DIR)/results
	@echo
	@echo 'Pictures (image | ground truth | prediction): $(CURDIR)/$(DEMO_DIR)/pictures'
	@echo 'Segments, in pictures and in COCO format:     $(CURDIR)/$(DEMO_DIR)/results'
	@echo 'The model, to be given away:                  $(CURDIR)/$(DEMO_DIR)/model'
	@echo 'Log, curve and checkpoints:                   $(CURDIR)/$(DEMO_DIR)'
	@echo 'To train from the beginning again: rm -r $(DEMO_DIR) && make demo'
	@echo 'Next, in a browser: $(PY) -m mmpfcn web --model shapes=$(DEMO),$(DEMO_DIR)/iter_500.pth'

docs: venv  ## build the documentation site in build/docs; a warning is an error
	$(PY) -m sphinx -q -W --keep-going -a -E -b html -d build/doctrees docs build/docs
	@echo 'The first page: $(CURDIR)/build/docs/index.html'

lint: venv  ## check style and spelling (ruff, codespell)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib

clean:  ## remove caches and build files; keeps .venv, data and work_dirs
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
