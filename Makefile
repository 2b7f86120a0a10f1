# `make help` lists the targets. Python 3.11 or newer, make and git are enough: the first target that needs it
# makes .venv with the versions of constraints.txt. An active environment that has grokkit is used as it is.

FIGURES := table1 fig1 fig2 fig3 fig4 fig5 all
PARAMETERS := PRESET SEEDS DEPTHS SOURCE UNTIL MINUTES
# These steer make itself. Every other name given on the command line goes to the notebooks, which refuse one
# that they do not know: a typing error must not run the defaults.
OWN := PYTHON TORCH_INDEX WORKERS CELL_SECONDS COMPILER

# The CPU builds of torch, for Linux without a GPU: PyPI would send gigabytes of CUDA libraries. One that is typed,
# such as that of an older CUDA, is taken in any case.
TORCH_INDEX := https://download.pytorch.org/whl/cpu
# Processes that `make test` uses at most, and the seconds that one notebook cell may take there.
WORKERS := 4
CELL_SECONDS := 300

# Another CUDA has other libraries than those of constraints.txt.
TYPED_INDEX := $(filter command environment,$(origin TORCH_INDEX))
# A driver of NVIDIA, on WSL2 (/dev/dxg) and in containers that hide /proc too.
GPU_IN_SIGHT := [ -e /proc/driver/nvidia ] || [ -e /dev/dxg ] || command -v nvidia-smi >/dev/null

VENV := .venv
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup test test-long test-faults test-cluster test-native lint format render book test-book bench bench-peers doctor lab clean moved $(FIGURES:%=reproduce-%)

# The Python of the active environment (venv, conda, or whatever python3 is, as on Colab) if grokkit is
# installed there. It is asked from /, because here Python would find the folder grokkit/ in any case.
ACTIVE_PYTHON = \
  for python in "$${VIRTUAL_ENV:+$$VIRTUAL_ENV/bin/python}" "$${CONDA_PREFIX:+$$CONDA_PREFIX/bin/python}" \
    "$$(command -v python3)"; do \
    [ -x "$$python" ] && [ ! "$${python%/bin/python*}" -ef $(VENV) ] && (cd / && "$$python" -c \
      "import importlib.util, sys; sys.exit(importlib.util.find_spec('grokkit') is None)") 2>/dev/null && \
      echo "$$python" && break; \
  done

# A Python that can make .venv: the one that was named, else one of those that the lock covers (3.11 to 3.14),
# else a newer one.
NAMED := $(if $(filter command,$(origin PYTHON)),$(PYTHON))
ANY_PYTHON = \
  for newest in 14 99; do \
    for python in $(if $(NAMED),'$(NAMED)',python3 python3.13 python3.12 python3.11 python3.14 python); do \
      "$$python" -c \
        "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $$newest))" \
        2>/dev/null && echo "$$python" && break 2; \
    done; \
  done

ACTIVE := $(shell $(ACTIVE_PYTHON))
ifneq ($(ACTIVE),)
PY := $(ACTIVE)
READY :=
else
PY := $(VENV)/bin/python
READY := $(STAMP)
# An environment does not survive being moved or copied with its folder.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): moved
endif
endif

# The code of this checkout runs, whatever grokkit the environment has, and a relative place counts from here for
# every program that is started. $(value ...): a $VARIABLE in it is left for the kit to read.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(value PYTHONPATH))
define WHOLE
ifneq ($(value $1),)
export $1 := $(if $(filter /% ~% $$%,$(firstword $(value $1))),,$(CURDIR)/)$$(value $1)
endif
endef
$(foreach place,GROKKIT_RUNS GROKKIT_FIGURES GROKKIT_BUILD,$(eval $(call WHOLE,$(place))))

TYPED := $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v))
GIVEN := $(sort $(PARAMETERS) $(filter-out $(OWN),$(TYPED)))
ARGUMENTS = $(foreach v,$(GIVEN),$(if $(strip $($v)),-p $v '$(subst ','\'',$(strip $($v)))'))

help:
	@echo 'Grokking of hierarchical structure in vanilla transformers: what this kit does'
	@awk -F, 'NR == 1 { printf "\n  %-18s %9s\n  %-18s %9s\n", "", "laptop,", "make", "2 cores" } \
	  NR > 1 { printf "  %-18s %9s   %s\n", $$1, $$2 == "" ? "-" : $$2 " min", $$3 }' grokkit/commands/minutes.csv
	@printf '  %-28s   %s\n' 'lab' 'JupyterLab on notebooks/' \
	  'doctor' 'check the installation: [OK], [WARN], [FAIL]' \
	  'setup' 'make .venv, which every target does when it has to' \
	  'lint' 'form, spelling, import rules, types' \
	  'format' 'ruff format, what ruff can mend, and docs/columns.md' \
	  'book' 'README, docs and notebooks as HTML, in build/book/' \
	  'render' 'execute the committed notebooks anew from the record' \
	  'test-long' 'the tests that make test leaves out' \
	  'test-native' 'the native step under other vectors and sanitizers' \
	  'clean' 'remove build/ and caches; runs/, figures/ and .venv stay'
	@echo
	@echo '  PRESET=  as-run, as-written, laptop or smoke (default: laptop)'
	@echo "  SEEDS=   for instance '42 52'"
	@echo "  DEPTHS=  for instance '2 4'"
	@echo '  SOURCE=  runs (the default: trains what is missing) or record (reads figures/<preset>/)'
	@echo '  UNTIL=   trains and shows only so many steps, for instance 15000; a later call goes on'
	@echo '  MINUTES= stops cleanly after so many minutes; the same call goes on'
	@echo '  PYTHON=  the Python that makes .venv, 3.11 or newer'
	@echo
	@echo 'Runs are kept in runs/ and trained once. Executed notebooks go to build/, pictures to figures/local/<preset>/.'

setup: $(READY)

$(STAMP): constraints.txt pyproject.toml
	@python=$$($(ANY_PYTHON)); \
	if [ -z "$$python" ]; then \
	  echo "$(if $(NAMED),$(NAMED) is not,Found no) Python 3.11 or newer that has venv. Install one" \
	    "(on Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python3 ..." >&2; \
	  exit 1; \
	fi; \
	made=$$(cat $(STAMP) 2>/dev/null || echo '$(CURDIR)'); \
	if [ -n '$(NAMED)' ] || [ "$$made" != '$(CURDIR)' ] || ! $(VENV)/bin/python -c '' 2>/dev/null; then \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) || exit 1; \
	fi; \
	gpu=; if $(GPU_IN_SIGHT); then gpu=yes; fi; \
	index=; \
	if $(if $(TYPED_INDEX),true,[ "$$(uname -s)" = Linux ] && [ -z "$$gpu" ]) && \
	  $(VENV)/bin/python -c "import sys, urllib.request as r; r.urlopen(sys.argv[1] + '/torch/', timeout=5)" \
	  '$(TORCH_INDEX)' 2>/dev/null; \
	then index='--extra-index-url $(TORCH_INDEX)'; fi; \
	$(if $(TYPED_INDEX),grep -vE '^(cuda|nvidia)-' constraints.txt > $(VENV)/constraints.txt;) \
	echo 'Installing the versions of constraints.txt into $(VENV): a few minutes, once'; \
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $$index \
	  -c $(if $(TYPED_INDEX),$(VENV)/constraints.txt,constraints.txt) \
	  -e '.[notebooks,test]' && printf '%s\n' '$(CURDIR)' > $(STAMP) || exit 1; \
	if [ -n "$$gpu" ] && ! $(VENV)/bin/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	  echo 'A GPU is in sight, but the torch in $(VENV) cannot use it: everything will run on the CPU. The driver may' \
	    'be older than its CUDA: rm -r $(VENV), then make setup TORCH_INDEX=https://download.pytorch.org/whl/cu126' >&2; \
	fi

moved:

$(FIGURES:%=reproduce-%): reproduce-%: $(READY)
	@$(PY) -P -m grokkit reproduce $* $(ARGUMENTS)

# Units, examples in docstrings, import rules, and every notebook from the record, compared with what is committed, in
# one pass (conftest.py).
test: $(READY)
	@$(PY) -P -m pytest -q -n auto --maxprocesses $(WORKERS) --dist loadfile --doctest-modules \
	  --nbval --nbval-current-env --nbval-cell-timeout=$(CELL_SECONDS) tests grokkit notebooks

# What takes many seconds and proves little more than a shorter test does.
test-long: $(READY)
	@$(PY) -P -m pytest -q -n auto --maxprocesses $(WORKERS) -m long tests

# Kills, damaged files and malformed inputs in full, without time limits; prints what was survived.
test-faults: $(READY)
	@$(PY) -P -m pytest -q tests/faults/faults.py

# Many machines: growth, an S3 server, Ray clusters whose nodes and drivers are killed. Needs what
# docs/many_machines.txt lists; what is not installed is skipped. Prints its figures.
test-cluster: $(READY)
	@$(PY) -P -m pytest -q -s -rs tests/cluster/cluster.py

# The tests of the native step as it is compiled for other processors, and with what finds errors of memory and
# undefined behaviour.
COMPILER := c++
NATIVE_TEST := -P -m pytest -q tests/training/test_native.py
test-native: $(READY)
	@for options in '' -mno-avx512f -mno-avx; do \
	  echo "$(COMPILER) $$options"; CXX="$(COMPILER) $$options" $(PY) $(NATIVE_TEST) || exit 1; \
	done
	@echo '$(COMPILER) -fsanitize=address,undefined'
	@LD_PRELOAD=$$($(COMPILER) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 \
	  CXX='$(COMPILER) -fsanitize=address,undefined -fno-sanitize-recover=undefined' $(PY) $(NATIVE_TEST)

# What `make test` holds of form and imports, and the types.
lint: $(READY)
	@$(PY) -P -m pytest -q tests/test_habits.py
	@$(PY) -P -m mypy

format: $(READY)
	@$(PY) -P -m ruff format
	@$(PY) -P -m ruff check --fix
	@$(PY) -P docs/columns.py

# What is committed as the record makes it: executed notebooks, the record's pictures, passages of README and docs.
render: $(READY)
	@$(PY) -P -m grokkit render

# README, docs and notebooks as pages, without a warning; and every page opened in a browser (Chromium).
book: $(READY)
	@$(PY) -c 'import myst_nb' 2>/dev/null || \
	  $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -r docs/book/requirements.txt
	@$(PY) -P -m sphinx -W --keep-going -q -b html -c docs/book . build/book
	@echo 'build/book/index.html'

test-book: book
	@$(PY) -P -m pytest -q -m book tests/book

bench: $(READY)
	@$(PY) tests/bench.py
	@$(PY) tests/bench_peers.py

# The second of the two with JAX beside the others, which the kit does not need: in an environment of its own.
bench-peers:
	@$(MAKE) --no-print-directory VENV=.venv-peers ACTIVE= setup
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r docs/bench_peers.txt
	@.venv-peers/bin/python tests/bench_peers.py

doctor: $(READY)
	@$(PY) -P -m grokkit doctor

lab: $(READY)
	@cd notebooks && $(if $(ACTIVE),$(PY),../$(PY)) -m jupyter lab

# What takes hours to measure is not touched.
clean:
	rm -rf build .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find grokkit tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
