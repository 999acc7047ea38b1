"""``manage.py relay_key``: make a key for the relay, reset its account, revoke it, list them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from console import relay_keys
from console.models import RelayKey
from console.providers import providers
from realtime.errors import LocalError


class Command(BaseCommand):
    """Make, reset, revoke and list the relay's keys."""

    help = (
        "Make a key for the relay; it is shown once. With --reset set what it has spent to zero, with --revoke make it useless, "
        "with --list show what there is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A name, and what is to be done with it."""
        parser.add_argument("name", nargs="?", default="", help="the key's name, such as that of the app that uses it")
        parser.add_argument("--provider", default="", help="where it leads, and nowhere else; without, to the default provider")
        parser.add_argument("--policy", default="", help="what it allows: a JSON object, or a file that holds one")
        parser.add_argument("--reset", action="store_true", help="set what the key of this name has spent to zero")
        parser.add_argument("--revoke", action="store_true", help="make the key of this name useless")
        parser.add_argument("--list", action="store_true", dest="listing", help="show all keys, without their text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of the four; what cannot be done is said in a sentence."""
        try:
            self.act(**options)
        except LocalError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used ({error}): start the console once, which prepares it.") from None

    def act(self, **options: Any) -> None:
        """List, revoke, reset or make."""
        name = options["name"].strip()
        if options["listing"]:
            self.tell_all()
            return
        if not name or len(name) > 80:
            raise CommandError("Give the key a name of at most 80 characters: manage.py relay_key NAME")
        if options["revoke"] and options["reset"]:
            raise CommandError("Either --revoke or --reset: a revoked key spends nothing more.")
        if options["revoke"]:
            relay_keys.revoke(name)
            self.stdout.write(f"“{name}” is revoked: whoever uses it is refused from now on, and sessions that run with it end.")
            return
        if options["reset"]:
            relay_keys.reset(name)
            self.stdout.write(f"“{name}” has spent US$ 0 from now on; a console that runs notices within seconds.")
            return
        provider = options["provider"]
        if provider and provider not in providers():
            raise CommandError(f'There is no provider "{provider}" here; configured: {", ".join(providers())}.')
        _, key = relay_keys.make(name, provider, policy_from(options["policy"]))
        self.stdout.write(key)
        self.stderr.write(
            "Shown this once. A client uses it as its API key, with this console for its base URL: "
            "OPENAI_BASE_URL=http://127.0.0.1:8000/v1"
        )

    def tell_all(self) -> None:
        """A line for each key."""
        for key in RelayKey.objects.newest_first():
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else f"last used {used}"
            provider = key.provider or "default provider"
            policy = json.dumps(key.policy, ensure_ascii=False) if key.policy else "no policy"
            self.stdout.write(
                f"{key.name}  {relay_keys.PREFIX}…{key.hint}  {provider}  {state}  US$ {key.spent_usd:.4f}  {policy}"
            )


def policy_from(text: str) -> Any:
    """A policy as it was given on the command line; None when none was. Raises CommandError."""
    if not text:
        return None
    source = text
    if not text.lstrip().startswith("{"):
        try:
            source = Path(text).read_text()
        except OSError as error:
            raise CommandError(f"The policy {text} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise CommandError(f"The policy {text} is no text.") from None
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"The policy is not JSON: {error}.") from None
