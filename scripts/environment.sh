# Read by the other scripts: makes a virtual environment in the repository when it is missing or stale.
#   OGPU_VENV     its folder              (default: .venv)
#   OGPU_PYTHON   the Python to make it   (default: the first of python3, python3.13, … that is supported)

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${OGPU_VENV:-.venv}
case $venv in /*) ;; *) venv=$root/$venv ;; esac

fail() {
    echo "$*" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${OGPU_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "No supported Python was found: install Python 3.11, 3.12 or 3.13, or name one in OGPU_PYTHON."
}

# Whether the environment runs this folder's code, and not a copy that was installed over it.
is_ours() {
    (cd / && "$venv/bin/python" -c "import ogpu, sys; sys.exit(not ogpu.__file__.startswith('$root/src/'))") 2>/dev/null
}

# need_python "demo,dev": the package, editable, with these extras. The note of what was installed is
# written last, so that an installation that was interrupted is taken up again.
need_python() {
    note=$venv/installed-$1
    if [ -e "$note" ] && [ "$note" -nt "$root/pyproject.toml" ] && supported "$venv/bin/python" && is_ours; then
        return
    fi
    if ! supported "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        echo "Making $venv with $("$python" --version) …"
        "$python" -m venv --clear "$venv"
    fi
    echo "Installing ogpu with its extras $1 …"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[$1]"
    touch "$note"
}

# need_contracts: the compiler, OpenZeppelin and forge, in contracts/node_modules.
need_contracts() {
    command -v npm >/dev/null || fail "npm was not found: install Node.js 20 or later; the contracts' tests need it."
    installed=$root/contracts/node_modules/.package-lock.json
    if [ -e "$installed" ] && [ "$installed" -nt "$root/contracts/package-lock.json" ]; then
        return
    fi
    echo "Installing the contracts' tools …"
    (cd "$root/contracts" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}

# need_browser: a Chromium for the page's tests; Debian's is installed where that can be done.
need_browser() {
    for browser in chromium chromium-browser google-chrome; do
        if command -v "$browser" >/dev/null; then
            return
        fi
    done
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "No Chromium was found, which the page's tests need: apt-get install -y chromium"
    fi
    echo "Installing Chromium …"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
}
