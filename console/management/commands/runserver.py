"""``manage.py runserver``: the console while it is being changed; a change to a Python file starts it anew."""

from __future__ import annotations

from typing import Any

from daphne.management.commands import runserver
from django.core.management.base import CommandError

from console.preparing import (
    CannotStart,
    assert_guarded,
    assert_limits,
    hold_console,
    prepare_data_dir,
    prepare_database,
    prepare_static,
)


class Command(runserver.Command):
    """Daphne's command, with what ``manage.py console`` prepares and starts."""

    help = "Serve the console and start it anew when a Python file changes."

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Prepare and serve, in the reloader's thread when there is one."""
        if not options["use_asgi"]:
            raise CommandError("The console lives on WebSockets: leave --noasgi out.")
        from console import lifecycle  # noqa: PLC0415  (as the command console: pages are built of what is prepared)
        from console.server import CompleteServer  # noqa: PLC0415

        try:
            assert_guarded(self.addr)
            assert_limits()
            self.check(display_num_errors=True)
            prepare_data_dir()
            self.lock = hold_console()
            prepare_database(migrate=True)
            prepare_static()
        except CannotStart as error:
            raise CommandError(str(error)) from None

        def ready(port: int) -> None:
            self.stdout.write(f"Realtime Console: http://{f'[{self.addr}]' if self._raw_ipv6 else self.addr}:{port}/")
            self.stdout.flush()

        server = CompleteServer(
            self.get_application(options),
            host=self.addr,
            port=int(self.port),
            startup=lifecycle.startup,
            shutdown=lifecycle.shutdown,
            ready=ready,
            signal_handlers=not options["use_reloader"],
            action_logger=self.log_action,
        )
        try:
            server.run()
        except CannotStart as error:
            raise CommandError(str(error)) from None
