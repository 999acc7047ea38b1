"""``manage.py console``: prepare the data directory, then serve until Ctrl+C."""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console import origin
from console.preparing import (
    CannotStart,
    assert_guarded,
    assert_limits,
    hold_console,
    prepare_data_dir,
    prepare_database,
    prepare_static,
)

if TYPE_CHECKING:
    from console.tls import Certificate

HOST, PORT = "127.0.0.1", 8000


class Command(BaseCommand):
    """Serve the console: pages, sockets and the built-in simulator from one process."""

    help = "Prepare the data directory and serve the console."
    requires_system_checks: list[str] = []  # tests run them; a start should not take longer for it

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen; the environment's HOST and PORT count where no option is given."""
        parser.add_argument("--host", default=os.environ.get("HOST") or HOST, help="address to listen on")
        parser.add_argument("--port", default=os.environ.get("PORT") or str(PORT), help="port; 0 takes a free one")
        parser.add_argument("--tls", action="store_true", help="serve https and wss too, with a certificate made here")
        parser.add_argument("--no-migrate", action="store_true", help="leave the database's tables as they are")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse what cannot work with a sentence, prepare, serve."""
        host = options["host"].strip("[]")
        try:
            port = as_port(options["port"])
            assert_guarded(host)
            assert_limits()
            assert_free(host, port)
            prepare_data_dir()
            certificate = server_certificate(made_here=options["tls"])
            tls_port = as_port(settings.CONSOLE_TLS_PORT, "CONSOLE_TLS_PORT") if certificate else 0
            if certificate:
                assert_free(host, tls_port, "CONSOLE_TLS_PORT")
            self.lock = hold_console()
            prepare_database(migrate=not options["no_migrate"])
            prepare_static()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        self.serve(host, port, tls_port, certificate)

    def serve(self, host: str, port: int, tls_port: int = 0, certificate: Certificate | None = None) -> None:
        """Run until a signal comes. What is imported here builds the pages, which need what was prepared."""
        from console import lifecycle  # noqa: PLC0415
        from console.asgi import application  # noqa: PLC0415
        from console.server import CompleteServer  # noqa: PLC0415

        def ready(listens_on: int) -> None:
            own, here = origin.public(), address("http", host, listens_on)
            lines = [f"Realtime Console: {own}/ (behind a proxy to {here})" if own else f"Realtime Console: {here}"]
            if certificate is not None:
                lines.append(f"            also: {address('https', host, server.tls_port)}")
                lines += [f"    for a client: {line}" for line in certificate.trust()]
            self.stdout.write("\n".join(lines))
            self.stdout.flush()

        server = CompleteServer(
            application,
            host=host,
            port=port,
            startup=lifecycle.startup,
            shutdown=lifecycle.shutdown,
            ready=ready,
            tls=certificate.options() if certificate else None,
            tls_port=tls_port,
        )
        try:
            server.run()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"The console cannot listen on {host}:{port}: {error}") from None


def address(scheme: str, host: str, port: int) -> str:
    """What to open in a browser on this machine."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"{scheme}://[{shown}]:{port}/" if ":" in shown else f"{scheme}://{shown}:{port}/"


def server_certificate(*, made_here: bool) -> Certificate | None:
    """What to serve https with, if anything. Raises CannotStart when it cannot serve."""
    chain, key = settings.CONSOLE_TLS_CERT, settings.CONSOLE_TLS_KEY
    if not (made_here or chain or key):
        return None
    from console import tls  # noqa: PLC0415  (cryptography takes a tenth of a second, which most starts need not)

    try:
        certificate = tls.given(chain, key) or tls.local(settings.CONSOLE_DATA_DIR / "tls", settings.ALLOWED_HOSTS)
        certificate.check()
    except tls.CertificateError as error:
        raise CannotStart(str(error)) from None
    return certificate


def as_port(text: str, variable: str = "PORT") -> int:
    """A port's number. Raises CannotStart for anything else."""
    if not (text.isdecimal() and int(text) <= 65535):
        raise CannotStart(f"{variable} is a number from 0 to 65535, not {text!r}.")
    return int(text)


def assert_free(host: str, port: int, variable: str = "PORT") -> None:
    """Raise CannotStart when the port cannot be had: before another console's sessions are touched."""
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            if os.name == "posix":  # as the server will; on Windows this would allow taking a port somebody uses
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except PermissionError:
        raise CannotStart(f"Port {port} needs more rights than this user has: use {variable} above 1023.") from None
    except socket.gaierror:
        raise CannotStart(f"HOST={host} is no address of this machine.") from None
    except OSError as error:
        if error.errno and "in use" in (error.strerror or "").lower():
            raise CannotStart(
                f"Port {port} is taken, perhaps by a console already running: use {variable}={port + 1}."
            ) from None
        raise CannotStart(f"The console cannot listen on {host}:{port}: {error.strerror}.") from None
