# What there is to do here: `just TASK`. `just` alone lists the tasks.

_tasks:
    @just --list --unsorted

# An environment in .venv with everything but an agent's server.
setup:
    python3 -m venv .venv
    .venv/bin/pip install -c constraints.txt -e ".[train,test,docs]"

# The tests, or some: just test tests/session
test *arguments:
    pytest -q {{arguments}}

# The tests, and which lines they reach.
coverage:
    pytest -q --cov parlante --cov-report term

# What ruff and clang-format find.
lint:
    ruff check .
    ruff format --check .
    git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'fuzz/native/*.h' 'fuzz/native/*.cpp' | xargs clang-format --dry-run -Werror

# Put everything into shape.
format:
    ruff check --fix .
    ruff format .
    git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'fuzz/native/*.h' 'fuzz/native/*.cpp' | xargs clang-format -i

# mypy, strict.
types:
    mypy

# The site, in site/; warnings are errors.
docs:
    mkdocs build

# Look at the site while you write.
read:
    mkdocs serve

# The picture of README and docs.
pictures:
    python docs/make_pictures.py

# This machine's speed.
bench:
    parlante bench

# Every native op beside its peers.
kernels:
    python -m benchmarks.kernels --out kernels.md

# Random inputs against everything that takes them: just fuzz compose --seconds 600
fuzz *arguments:
    python -m fuzz {{arguments}}

# A first video.
demo:
    parlante speak --demo -o demo.mp4

# Lists of all that CI and the container install, with hashes.
lock *arguments:
    .ci/lock {{arguments}}

# Everything that a change has to pass, from a clean install.
ci:
    .ci/run
