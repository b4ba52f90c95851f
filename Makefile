# make demo: a corpus, a fit, a test and predictions, from nothing. make hpo-demo: a search. make test: the suite.
# All make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TOKENIZERS_PARALLELISM := false

.PHONY: demo hpo-demo test test-all test-lowest lint clean
demo: $(VENV)/.demo
	$(BIN)/python -m redsm5 demo

hpo-demo: $(VENV)/.demo
	$(BIN)/python -m redsm5 demo --search

test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not slow and not browser" -n 2 --dist loadfile

test-all: $(VENV)/.test-launchers
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-lowest:
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	.venv-lowest/bin/python -m pytest -m "not slow and not browser" -n 2 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("redsm5 needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": run make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/.demo

$(VENV)/.test-launchers: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test-launchers]'
	touch $@ $(VENV)/.test $(VENV)/.demo

clean:
	rm -rf $(VENV) .venv-lowest build dist *.egg-info
