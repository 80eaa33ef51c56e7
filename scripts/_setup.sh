# Shared by the scripts beside it; sourced, not run. Needs bash, Python and pip's package index, nothing else.
#
#   PYTHON        the interpreter to use (default: the first suitable python3.11, 3.12, 3.13, 3.10, python3)
#   PROTVEC_VENV  the virtual environment (default: .venv in the checkout)

set -euo pipefail
unset PYTHONHOME PYTHONPATH

# macOS still has bash 3.2, and CDPATH would make cd print.
ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=${PROTVEC_VENV:-$ROOT/.venv}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# Succeeds when the command $1 is a Python that protvec supports. It is run, not only looked up: a shim
# of a version manager can stand for a Python that is not installed.
supported() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.10 to 3.13; set it to one or unset it"
    printf '%s\n' "$PYTHON"
    return
  fi
  for candidate in python3.11 python3.12 python3.13 python3.10 python3 python; do
    if supported "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "no Python 3.10 to 3.13 found; install one, or name it: PYTHON=/path/to/python3 $0"
}

make_venv() {
  local python
  python=$(find_python) || exit 1
  # Only what is a virtual environment already is cleared; any other directory may be somebody's work.
  if [ -e "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
    die "$VENV is not a virtual environment; move it away or set PROTVEC_VENV to another path"
  fi
  say "making a virtual environment in $VENV with $("$python" -V)"
  "$python" -m venv --clear "$VENV" >&2 ||
    die "$python cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)"
}

# Installs this checkout, editable, with the extra $1, unless that was done with the same versions before.
setup() {
  local extra=$1 stamp now
  if ! supported "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    make_venv
  fi
  stamp=$VENV/.protvec-$extra
  now=$("$VENV/bin/python" -V && printf '%s\n' "$ROOT" && cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" | cksum)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then
    return
  fi
  say "installing protvec[$extra] and what it needs into $VENV (the first time takes minutes)"
  rm -f "$stamp"
  # PYTHONWARNINGS would make pip's own deprecations loud; -qq leaves errors only.
  PYTHONWARNINGS='' "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
    --constraint "$ROOT/constraints.txt" --editable "$ROOT[$extra]" ||
    die "pip could not install protvec[$extra]; its message is above (is the package index reachable?)"
  printf '%s\n' "$now" >"$stamp"
}
