#!/usr/bin/env python3
"""Django's commands. Beside a running ./run they find its services; alone they need DATABASE_URL."""

import gc
import os
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent


def main():
    """Runs a command; what a person can do something about ends in one plain line, not in a traceback."""
    use_own_environment()
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbx.settings"
    gc.disable()  # until all is loaded, in pbx.launch.manage
    from pbx.launch.manage import execute

    execute(sys.argv)


def use_own_environment():
    """Becomes the same command in the environment that ./run made, unless one of the user's own is in use."""
    python = BASE_DIR / ".venv" / "bin" / "python"
    finished = (BASE_DIR / ".venv" / "patchbay-installed").exists()
    if sys.prefix == sys.base_prefix and finished and os.access(str(python), os.X_OK):
        os.execv(str(python), [str(python), *sys.argv])  # noqa: S606
    try:
        import django  # noqa: F401
    except ImportError:
        sys.exit("Packages are missing: start ./run once, or pip install -r requirements.txt")


if __name__ == "__main__":
    main()
