"""What every test stands on: settings that touch nobody's data, a simulator, a running console, a spoken sentence."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from tests import children
from tests.postgres import postgres, postgres_module_url, postgres_url  # noqa: F401  (fixtures for everybody)
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""Name of one of several processes that share the work, and the first one's environment and directory; else None."""
DATA_DIR = Path(os.environ["CONSOLE_DATA_DIR"] if WORKER else tempfile.mkdtemp(prefix="realtime-console-tests-")).resolve()
START_WITHIN = 200  # seconds; the first start collects static files, on a machine that also runs everything else
LONG_WITHIN = 900  # seconds for a long form or a benchmark, which may take ten minutes; pyproject.toml has the others' bound

SHIELDED = {
    "AZURE_OPENAI_API_KEY": "",
    "AZURE_OPENAI_ENDPOINT": "",
    "CONSOLE_ALLOWED_HOSTS": "127.0.0.1,localhost",
    "CONSOLE_PUBLIC_URL": "",
    "CONSOLE_TLS_CERT": "",
    "CONSOLE_TLS_KEY": "",
    "CONSOLE_TLS_PORT": "0",
    "CONSOLE_TOKEN": "",
    "DATABASE_URL": os.environ.get("TESTS_DATABASE_URL", ""),  # tests run on a database of the kind it names
    "HOST": "",
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPEN_METEO_URL": "http://127.0.0.1:9/v1/forecast",
    "PORT": "",
    "REALTIME_PROVIDER": "",
    "REALTIME_UPSTREAM_DIALECT": "ga",
    "REALTIME_UPSTREAM_KEY": "",
    "REALTIME_UPSTREAM_URL": "",
    "RELAY_ALLOWED_ORIGINS": "",
}
"""The environment of every test: nobody's key, database or ``.env`` counts, and nothing outside is reached (port 9)."""

# Here and not in pyproject.toml: pytest-django would read the settings before this file could shield them.
os.environ.update(SHIELDED, CONSOLE_DATA_DIR=str(DATA_DIR), DJANGO_SETTINGS_MODULE="console.settings")
assert settings.CONSOLE_DATA_DIR == DATA_DIR  # read now: pytest-django sets up only what has been
(DATA_DIR / "static").mkdir(exist_ok=bool(WORKER))  # WhiteNoise warns when there is none


@pytest.fixture(scope="session", autouse=True)
def _writes_in_a_thread() -> None:
    """What tests record in their own process is written there, too; consoles they start have their own processes."""
    from console.courier import Courier  # noqa: PLC0415  (Django is set up after this file is read)
    from console.recorder import Recorder  # noqa: PLC0415
    from tests.console.writing import WriterThread  # noqa: PLC0415

    Courier.launch = staticmethod(WriterThread)
    Recorder.stop = partialmethod(Recorder.stop, timeout=PATIENCE)  # a busy machine takes longer than a console may


def pytest_configure(config: pytest.Config) -> None:
    """Let no child process outlive the test, the fixture and the run that it belongs to."""
    config.pluginmanager.register(children, "children")


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    if not WORKER:
        shutil.rmtree(DATA_DIR, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests come last, as Playwright's loop then runs to the end; benchmarks and long forms only when asked for."""
    for marker in ("bench", "long"):
        if marker not in config.option.markexpr:
            config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(marker)])
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
    for item in items:
        if (item.get_closest_marker("long") or item.get_closest_marker("bench")) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_WITHIN))
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def utterance(text: str) -> bytes:
    """Real speech, PCM16 24 kHz mono; skips the test where there is no voice to make it."""
    from realtime.simulator.model.speech_synthesis import speak  # noqa: PLC0415  (after the shield)

    try:
        return speak(text, "alloy", 1.0, "espeak")
    except (RuntimeError, OSError) as error:
        pytest.skip(f"no speech can be made here: {error}")


@pytest.fixture(scope="session")
def spoken() -> bytes:
    """A sentence and one second of silence, PCM16 24 kHz mono: a turn for voice activity detection."""
    return utterance("What is the weather in Lisbon?") + bytes(24_000 * 2)


@pytest.fixture
def simulator() -> Iterator[Any]:
    """A real simulator on a port and a loop of its own: ``simulator.url`` is what a client dials."""
    from realtime.simulator.shared.options import SimulatorOptions  # noqa: PLC0415  (after the shield)
    from realtime.simulator.thread import RunningSimulator  # noqa: PLC0415  (after the shield)
    from tests.realtime.simulator.watch import watched  # noqa: PLC0415  (after the shield)

    with watched(), RunningSimulator(SimulatorOptions(latency_ms=5, pace=40)) as running:
        yield running


class Weather(http.server.BaseHTTPRequestHandler):
    """A forecast in open-meteo's form: 21.5 °C, 12 km/h, partly cloudy, wherever one asks."""

    def do_GET(self) -> None:
        """Answer any place."""
        body = json.dumps(
            {
                "current_units": {"temperature_2m": "°C", "wind_speed_10m": "km/h"},
                "current": {"temperature_2m": 21.5, "wind_speed_10m": 12.0, "weather_code": 2},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def weather_server() -> Iterator[str]:
    """A forecast's address on this machine, for as long as it is needed."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Weather) as server:
        thread = threading.Thread(target=server.serve_forever, name="weather")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/forecast"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def weather_url() -> Iterator[str]:
    """Where a forecast can be had without leaving this machine."""
    with weather_server() as address:
        yield address


@dataclass
class Console:
    """A console running as people run it, in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    """Ends in ``/``."""
    data_dir: Path
    log: Path
    """What it has written to its terminal."""
    lines: tuple[str, ...] = ()
    """What it said when it was ready."""

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit status. Raises AssertionError when it does not: it is killed then."""
        return children.stop(self.process, signum)


def csrf_of(browser: httpx.Client | httpx.AsyncClient) -> str:
    """Return the CSRF token a console has given this client; its cookie bears the installation's name."""
    return next(value for name, value in browser.cookies.items() if name.startswith("console_csrf_"))


def start_console(folder: Path, *arguments: str, program: Sequence[str] = ("manage.py",), **environment: str) -> Console:
    """Start ``manage.py console`` on a free port with its data in ``folder``; fails with its words when it does not.

    ``program``: what Python is to run in place of ``manage.py``, with the same arguments.
    """
    log = folder / "terminal.log"
    with log.open("wb") as terminal:
        process = children.spawn(
            [sys.executable, *program, "console", "--port", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, "CONSOLE_DATA_DIR": str(folder / "data"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=terminal,
        )
    assert process.stdout is not None
    timer = threading.Timer(START_WITHIN, process.kill)
    timer.start()
    said = process.stdout.readline().decode()
    timer.cancel()
    with process.stdout as more:  # all of it was written at once
        os.set_blocking(more.fileno(), False)
        lines = (said.rstrip("\n"), *(more.read() or b"").decode().splitlines())
    address = re.search(r"http://\S+/", said)
    if address is None:
        children.kill(process)
        pytest.fail(f"the console did not start: {said}{log.read_text()}")
    return Console(process, address[0], folder / "data", log, lines)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory, weather_url: str) -> Iterator[Console]:
    """One console for all browser tests; each opens sessions of its own. It must end well."""
    console = start_console(tmp_path_factory.mktemp("app"), OPEN_METEO_URL=weather_url)
    yield console
    status = console.stop()
    said = console.log.read_text()
    assert (status, "Traceback" in said) == (0, False), said
