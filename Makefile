# `make` lists what there is. OPS, VENV, PYTHON, TORCH, TORCH_INDEX and JOBS go to tools/misc/make_venv.sh,
# TESTS to pytest: make test TESTS='tests/test_models -x'.
VENV ?= .venv
TESTS ?= tests
OPS_VENV := $(VENV)-ops
export PYTHON TORCH TORCH_INDEX JOBS

PY := $(if $(OPS),$(OPS_VENV),$(VENV))/bin/python
DEMO_CONFIG := configs/panoptic_fcn/r18_shapes.py
DEMO_DIR := work_dirs/r18_shapes
DEMO_PICTURES := $(CURDIR)/$(DEMO_DIR)/pictures

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
demo: venv  ## train on the embedded data set, test, draw pictures (about 10 minutes on 2 cores)
	$(PY) tools/dataset_converters/make_shapes.py --out data/shapes
	$(PY) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR) --resume
	rm -rf $(DEMO_PICTURES)
	$(PY) tools/test.py $(DEMO_CONFIG) "$$(cat $(DEMO_DIR)/last_checkpoint)" \
	    --work-dir $(DEMO_DIR) --show-dir $(DEMO_PICTURES)
	$(PY) tools/demo.py data/shapes/val --config $(DEMO_CONFIG) --overwrite \
	    --checkpoint "$$(cat $(DEMO_DIR)/last_checkpoint)" --out-dir $(DEMO_DIR)/results
	rm -f $(DEMO_DIR)/r18_shapes-*.pth
	$(PY) tools/model_converters/publish_model.py "$$(cat $(DEMO_DIR)/last_checkpoint)" \
	    $(DEMO_DIR)/r18_shapes.pth
	@echo
	@echo 'Pictures (image | ground truth | prediction): $(DEMO_PICTURES)'
	@echo 'Segments, in pictures and in COCO format:     $(CURDIR)/$(DEMO_DIR)/results'
	@echo 'The model, to be published:                   $(CURDIR)/$(DEMO_DIR)/r18_shapes-*.pth'
	@echo 'Log, curve and checkpoints:                   $(CURDIR)/$(DEMO_DIR)'
	@echo 'To train from the beginning again: rm -r $(DEMO_DIR) && make demo'

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
