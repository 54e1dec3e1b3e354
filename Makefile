# `make book` builds the book and `make test` checks everything; both install into .venv what is missing.

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONPATH

INSTALLED := .venv/installed
PACKAGE := $(shell find llma_tutorial book/_results -name '*.py' -o -name '*.json' -o -name '*.csv' 2>/dev/null | grep -v __pycache__)
PAGES := $(shell find book -path '*/.*' -prune -o \( -name '*.ipynb' -o -name '*.md' -o -name '*.bib' \) -print) \
         $(wildcard book/_static/* book/_tools/*.py) _config.yml _toc.yml
NOTEBOOKS := $(filter-out book/coursework/instructor/%,$(filter %.ipynb,$(PAGES)))
BUILD := jupyter-book build --warningiserror --nitpick --keep-going .

.DELETE_ON_ERROR:
.PHONY: help book test test-package test-notebooks test-pages lab notebooks results model bench times lint clean coursework homework grade screenshots release

help:  ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

book: _build/site.stamp  ## install what is missing, execute every notebook, build the site
	@echo "The book is in _build/html: open _build/html/index.html."

PARTS := lint test-package test-notebooks book test-pages

test: $(INSTALLED)  ## everything that must hold
	@failed=; for part in $(PARTS); do \
	  echo "== make $$part"; $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; \
	done; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed"; exit 1; fi; \
	echo "Everything holds: $(PARTS)."

test-package: $(INSTALLED)
	pytest -n 2 -p no:cacheprovider --ignore tests/book --ignore tests/coursework/test_leaks.py

test-notebooks: $(INSTALLED)  # what is executed here is not executed again for the site
	pytest -n 2 --dist loadfile -p no:cacheprovider -p keep_executed -o addopts= --nbval-lax --nbval-current-env \
	  --nbval-cell-timeout 600 --ignore book/coursework/instructor book

test-pages: $(INSTALLED)
	pytest -n 2 -p no:cacheprovider tests/book tests/coursework/test_leaks.py

lab homework: export JUPYTER_CONFIG_PATH := $(CURDIR)/book/_lab

lab: $(INSTALLED)  ## lay out the book in lab/ and open it in JupyterLab, at its front page
	python book/_tools/lab.py
	jupyter lab lab --LabApp.default_url=/lab/tree/intro.md

notebooks: $(INSTALLED)  ## execute every notebook in place, write plain copies to _build/notebooks
	python book/_tools/execute.py
	python book/_tools/export.py

results: $(INSTALLED)  ## bring the studies in book/_results up to date
	python book/_tools/results.py

model: $(INSTALLED)  ## train the two language models that come with the package: minutes on two cores
	python -m llma_tutorial.reading.models.training
	python -m llma_tutorial.reading.models.inattentive

bench: $(INSTALLED)  ## measure run times against their limits
	python book/_tools/bench.py

times: $(INSTALLED)  ## measure how long each chapter takes, for the page of run times
	python book/_tools/run_times.py

coursework: $(INSTALLED)  ## pages and instructor editions of the problem sets, from their masters
	python book/_tools/coursework/editions.py pages
	python book/_tools/coursework/editions.py instructor

homework: $(INSTALLED)  ## lay out the problem sets in homework/ and open them in JupyterLab
	python book/_tools/coursework/editions.py homework
	jupyter lab homework

grade: $(INSTALLED)  ## grade a folder: make grade SUBMISSIONS=folder [MARKS=folder]
	python book/_tools/coursework/grade.py "$(SUBMISSIONS)" "$(MARKS)"

screenshots: book  ## contact sheets of every page, three widths, light and dark: make screenshots [WORDS="cascades intro"]
	python book/_tools/screenshots.py $(WORDS)

release: _build/site.stamp  ## wheel, source, site and notebooks as archives, checksums: make release [TAG=v0.1.0]
	python book/_tools/release.py $(TAG)

lint: $(INSTALLED)  ## style and dead code
	ruff check llma_tutorial tests book/_tools book/_results
	ruff format --check llma_tutorial tests book/_tools book/_results
	ruff check --line-length 88 $(NOTEBOOKS)
	ruff format --check --line-length 88 $(NOTEBOOKS)

clean:  ## remove what was built, keep what was installed
	rm -rf _build

# The doctrees go every time, because a warning that was met once is not repeated from them.
_build/site.stamp: $(INSTALLED) $(PACKAGE) $(PAGES)
	@mkdir -p _build
	python book/_tools/execute.py --missing
	rm -rf _build/.doctrees _build/html
	$(BUILD)
	@touch $@

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python must be 3.11 or later. Got $$($(PYTHON) --version). Name another one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m llma_tutorial fetch
	@touch $@
