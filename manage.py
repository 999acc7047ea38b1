#!/usr/bin/env python
"""Django's command line: ``python manage.py console`` starts everything."""

from __future__ import annotations

import os
import sys

OLDEST_PYTHON = (3, 11)


def main() -> None:
    """Run one command; explain what is missing in a sentence where Python or Django themselves are."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Realtime Console needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable}).")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415  (it may be missing: said below)
    except ModuleNotFoundError:
        sys.exit("Django is not installed in this Python: `make run` installs all that is needed (README, \"Start\").")
    try:
        execute_from_command_line(sys.argv)
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"{error.strerror}: {error.filename}. CONSOLE_DATA_DIR says where the console keeps its data.")


if __name__ == "__main__":
    main()
