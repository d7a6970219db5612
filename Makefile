# Each target is one line over commands that anyone can type. `make` alone lists them.
PYTHON ?= python3

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):  ## /make \1\t/p' Makefile

course:  ## the environment, the student notebooks, the book, a graded sample class
	@$(PYTHON) autograder/environment.py && .venv/bin/autograder course

test:  ## install what the tests need, and run them all
	@$(PYTHON) autograder/environment.py --tests && .venv/bin/autograder release && .venv/bin/python book/build.py && .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

book:  ## the book alone
	@$(PYTHON) autograder/environment.py && .venv/bin/autograder release && .venv/bin/python book/build.py

serve:  ## JupyterLab with formgrader on the course folder
	@.venv/bin/autograder serve

bench:  ## time the library and the grader beside their peers, and keep the tables in tests/benchmarks/
	@$(PYTHON) autograder/environment.py --tests && .venv/bin/python -m tests.benchmarks.grading && .venv/bin/python -m tests.benchmarks.run

.PHONY: help course test book serve bench
