# Everything runs in .venv, made from PyPI alone at the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST ?=
# strict: type checkers and editors follow a strict editable install, not a lenient one
EDITABLE := --config-settings editable_mode=strict -e

.PHONY: demo test lint types install install-test refresh verify bench fuzz clean

demo: install refresh  ## speech to bit-exact hardware, report in runs/demo/report.html
	$(BIN)/ormia demo

test: install-test refresh lint types  ## the whole suite, under 15 minutes on 2 cores
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST)

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

install: .venv/.installed
install-test: .venv/.installed-test

.venv/.venv:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.installed: pyproject.toml constraints.txt | .venv/.venv
	$(INSTALL) $(EDITABLE) '.[all]'
	touch $@

.venv/.installed-test: pyproject.toml constraints.txt | .venv/.venv
	$(INSTALL) $(EDITABLE) '.[test]'
	touch $@ .venv/.installed

refresh:  # a strict editable install knows the files of the day it was made
	$(INSTALL) --no-deps $(EDITABLE) .

verify: install-test refresh  ## heavier than the suite: the demo's network on all backends, all vectors on emulated cores
	$(BIN)/ormia verify runs/demo/net.ormia --data runs/demo/corpus --clips 50
	$(BIN)/python -m pytest tests/test_vectors.py tests/test_backends.py -k "cortex or riscv" --networks 32
	$(BIN)/python bench/agreement.py

bench: install refresh  ## costs and speeds, written to bench/results; accuracy on recordings is bench/accuracy.py, which needs them
	$(BIN)/python bench/runtime.py runs/demo/net.ormia
	$(BIN)/python bench/mcu.py runs/demo/net.ormia --data runs/demo/corpus

fuzz: install refresh  ## the generated C under libFuzzer and sanitizers for 30 minutes; needs clang
	$(BIN)/python bench/fuzz.py runs/demo/net.ormia --minutes 30

clean:
	rm -rf build runs .pytest_cache .mypy_cache .ruff_cache
