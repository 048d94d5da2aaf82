#!/bin/sh
# Finds or makes the environment, then hands its arguments to `python -m lmlib` (see `--help`).
set -eu

for name in LMLIB_ROOT LMLIB_IMAGENET LMLIB_PHOTOGRAPHS; do # relative to where the caller stands
    eval "folder=\${$name:-/}"
    case $folder in
        /* | "~"*) ;;
        *) export "$name=$PWD/$folder" ;;
    esac
done
script=$0
while [ -L "$script" ]; do # macOS had no `readlink -f` before 12.3
    target=$(readlink "$script")
    case $target in
        /*) script=$target ;;
        *) script=$(dirname "$script")/$target ;;
    esac
done
CDPATH='' cd "$(dirname "$script")"

# The bench times training steps as the study takes them: MALLOC_SETTINGS in study/notebooks.py.
if [ "${1:-}" = bench ]; then
    export MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=1073741824
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ -t 2 ] || export TQDM_MININTERVAL=10                    # in a log a line now and then
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"       # this checkout, in its kernels too

for folder in "${CONDA_PREFIX:-}" "${VIRTUAL_ENV:-}"; do # an active environment that has it all
    [ -x "$folder/bin/python" ] && [ -n "$folder" ] || continue
    "$folder/bin/python" -m pip install --isolated --dry-run --no-index --no-deps -q \
        -r requirements.txt 2>/dev/null && exec "$folder/bin/python" -m lmlib "$@"
    echo "$folder does not satisfy requirements.txt: not used" >&2
done

venv=.venv/bin/python
if ! cmp -s requirements.txt .venv/requirements.txt; then # the stamp of a finished installation
    for python in python3 python3.14 python3.13 python3.12 python3.11 none; do
        "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    done
    [ "$python" != none ] || { echo "error: no Python 3.11 or newer with venv: install one" >&2; exit 1; }
    case " $* " in *" --help "* | *" -h "*) exec "$python" -m lmlib "$@" ;; esac
    "$python" -m lmlib --check "$@"
    echo "Making .venv: on Linux about 3.3 GB to download and 6.8 GB on disk, on macOS 0.6 and 2."
    "$python" -m venv .venv
    $venv -m pip install -r requirements.txt
    $venv -m pip install -q --no-deps --no-build-isolation -e .
    cp requirements.txt .venv/
fi
exec "$PWD/$venv" -m lmlib "$@"
