.PHONY: help setup test lint types bench

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup:  ## Install sglc from this checkout, with what tests need
	pip install -e '.[dev]'

test:  ## Run the tests
	pytest

lint:  ## Check style and format
	ruff check .
	ruff format --check .

types:  ## Check types
	mypy

bench:  ## Time every example against transformers on this machine
	python examples/benchmarks/suite.py
