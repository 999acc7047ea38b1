"""Which door answers which address."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
http = get_asgi_application()  # first: it makes Django ready for the imports below

from console import converters  # noqa: E402, F401  (makes <session:…> known)
from console.doors.audio import audio  # noqa: E402
from console.doors.relay import nothing, relay  # noqa: E402
from console.doors.sessions import SessionsConsumer  # noqa: E402
from console.doors.timeline import TimelineConsumer  # noqa: E402
from console.lifespan import lifespan  # noqa: E402
from console.middleware import OwnOriginMiddleware, PageSocketGuard, RequestGuard  # noqa: E402

# Pages' sockets: own origin only, with the console's token where one is set.
pages = PageSocketGuard(
    URLRouter(
        [
            path("ws/rail", SessionsConsumer.as_asgi()),
            path("ws/sessions/<session:session_id>/timeline", TimelineConsumer.as_asgi()),
            path("ws/sessions/<session:session_id>/audio", audio),
            re_path("", nothing),
        ]
    )
)


async def sockets(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Our pages' sockets under /ws/; every other one is a client's, with rules of its own (``console.admission``)."""
    await (pages if scope["path"].startswith("/ws/") else relay)(scope, receive, send)


application = OwnOriginMiddleware(
    ProtocolTypeRouter({"http": RequestGuard(http), "websocket": sockets, "lifespan": lifespan})
)
