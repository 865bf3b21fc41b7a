# Sourced by the other scripts. Nothing here changes the system.

export UV_PYTHON_DOWNLOADS=never

say() { printf '%s\n' "$*" >&2; }

# missing WHAT HOW: names what is missing with the line that installs it, then exit code 3.
missing() {
  say "tapswitch: $1 is missing"
  say "  install it: $2"
  exit 3
}

find_python() { # prints the path of a python3.11 that has venv
  local python
  python=$(command -v python3.11) && "$python" -c 'import sys; assert sys.version_info[:2] == (3, 11)' 2>/dev/null \
    || missing "python3.11" "sudo apt-get install python3.11 python3.11-venv python3.11-dev"
  "$python" -c 'import venv, ensurepip' 2>/dev/null \
    || missing "python3.11's module venv" "sudo apt-get install python3.11-venv"
  "$python" -c 'import sys; print(sys.executable)'
}

find_uv() { # prints the path of uv: from PATH, else from a private virtual environment under .cache/
  if command -v uv; then return; fi
  if [ ! -x .cache/uv/bin/uv ]; then
    local python
    python=$(find_python)
    say "setup: no uv on PATH; taking one into .cache/uv"
    "$python" -m venv .cache/uv >&2
    .cache/uv/bin/python -m pip install --quiet --disable-pip-version-check \
      --require-hashes -r requirements/uv.txt >&2
  fi
  printf '%s\n' "$PWD/.cache/uv/bin/uv"
}

find_compilers() { # cargo >= 1.85, a C and a C++ compiler
  local rust='rustup update stable   (rustup itself: https://rustup.rs)' found
  command -v cargo >/dev/null && found=$(cargo --version 2>/dev/null) || missing "cargo >= 1.85" "$rust"
  printf '%s\n' "cargo 1.85.0" "$found" | sort -V -k2,2 -C || missing "cargo >= 1.85 (found: $found)" "$rust"
  command -v "${CC:-cc}" >/dev/null || missing "a C compiler" "sudo apt-get install gcc libc6-dev"
  command -v "${CXX:-c++}" >/dev/null || missing "a C++ compiler" "sudo apt-get install g++"
}
