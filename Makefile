# `make demo` and `make test` need Python 3.11 to 3.13 and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DONE := $(VENV)/installed

.PHONY: demo test lab install

demo: install
	$(BIN)/shl fetch openi
	$(BIN)/shl run params/demo.yaml

test: install
	$(BIN)/shl fetch openi
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -n 2 --dist loadfile

lab: install
	$(BIN)/jupyter lab notebooks

install: $(DONE)

$(DONE): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $(DONE)
