#!/bin/sh
# Finds or makes the environment, then hands its words to `python -m lmlib`. `./run_all.sh --help` lists them.
set -eu

case ${LMLIB_ROOT:-/} in # relative to where the caller stands
    /* | "~"*) ;;
    *) export LMLIB_ROOT="$PWD/$LMLIB_ROOT" ;;
esac
script=$0
while [ -L "$script" ]; do # macOS had no `readlink -f` before 12.3
    target=$(readlink "$script")
    case $target in
        /*) script=$target ;;
        *) script=$(dirname "$script")/$target ;;
    esac
done
CDPATH='' cd "$(dirname "$script")"

# The bench times training steps as the study takes them: see KEEPS_MEMORY in lmlib/study/notebooks.py.
[ "${1:-}" != bench ] || export MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=1073741824
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ -t 2 ] || export TQDM_MININTERVAL=10 # in a log a line now and then

for python in "${CONDA_PREFIX:-/nowhere}/bin/python" "${VIRTUAL_ENV:-/nowhere}/bin/python" "$PWD/.venv/bin/python"; do
    if [ -x "$python" ] && "$python" -m lmlib.install check; then
        exec "$python" -m lmlib "$@"
    fi
done

for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$python" >/dev/null && "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        code=0 && "$python" -m lmlib.install words "$@" || code=$?
        [ "$code" = 10 ] || exit "$code"
        "$python" -m lmlib.install make
        exec .venv/bin/python -m lmlib "$@"
    fi
done
echo "error: no Python 3.11 or newer with the module venv was found: install one and call ./run_all.sh again" >&2
exit 1
