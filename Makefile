# `make demo` and `make test` need Python 3.11 to 3.13, a Unix shell and a network.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# two installations must not write one environment at a time
.NOTPARALLEL:
.PHONY: demo test test-all lab install browser test-browser site slides

demo: $(INSTALLED)
	$(BIN)/shl fetch openi
	$(BIN)/shl run params/demo.yaml

# `make test` leaves out the long tests: runs that are killed and resumed, each source through all stages
test-all: CHOSEN := --no-loadscope-reorder  # `tests/conftest.py` has an order of its own
test: CHOSEN := -m "not long"
test test-all: $(INSTALLED)-test
	$(BIN)/shl fetch openi
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -n 2 --dist loadfile $(CHOSEN)

lab: $(INSTALLED)
	$(BIN)/shl fetch openi
	$(BIN)/shl lab

# the pages of docs/ and the demo's notebooks, in site/; both work without a network
site: $(INSTALLED)-site demo
	rm -rf site
	$(BIN)/shl site demo site/notebooks
	$(BIN)/sphinx-build --quiet --fail-on-warning --conf-dir docs . site
	cp site/README.html site/index.html

# the demo's notebooks as slides, likewise
slides: $(INSTALLED)-site demo
	rm -rf slides
	$(BIN)/shl slides demo slides

# as root on Debian or Ubuntu it brings its browser itself; elsewhere chromium and chromedriver have to be there;
# `make test-browser ONLY="-k 00"` takes the notebooks so called, which need all before them
test-browser: $(INSTALLED)-test $(INSTALLED)-browser browser
	$(BIN)/pytest tests/browser.py $(ONLY)

browser:
	which chromedriver > /dev/null || (apt-get update --quiet && apt-get install --quiet --yes chromium chromium-driver)

install: $(INSTALLED)-test

# what the notebooks need; bytecode is left to the first import, of what is imported at all
$(INSTALLED): $(VENV)/created
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable .
	touch $@

# the same and more: test, site (pages and slides) or browser
$(INSTALLED)-%: $(VENV)/created
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable ".[$*]"
	touch $(INSTALLED) $@

$(VENV)/created: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" || \
	 { echo "$(PYTHON) is not Python 3.11 to 3.13: name one that is, as in make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c "import venv, ensurepip" 2> /dev/null || \
	 { echo "$(PYTHON) has no venv and pip: on Debian or Ubuntu, apt install python3-venv brings them"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip
	touch $@
