# Sourced by ./run and ./test: sets $python to a Python that Patchbay runs on, or says what to do.
# 3.11 and 3.12 come first: every dependency has a ready-made wheel for them.
python=
for candidate in ${PYTHON:-python3.11 python3.12 python3 python3.13 python3.14}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$(command -v "$candidate")
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no working ${PYTHON:-python3}"
    echo "Patchbay needs Python 3.11 or newer, and found $found." \
        "Install it (Debian 12: apt install python3 python3-venv), or name one: PYTHON=/path/to/python3.11 $0" >&2
    exit 1
fi
export PATH PYTHONUTF8=1
