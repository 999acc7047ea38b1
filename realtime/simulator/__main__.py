"""``python -m realtime.simulator``: the simulated API by itself, for any client."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable

from realtime.simulator.faults.base import FaultError
from realtime.simulator.faults.presets import described
from realtime.simulator.scenarios.loader import load
from realtime.simulator.scenarios.steps import ScenarioError
from realtime.simulator.server.outgoing import OutgoingQueue
from realtime.simulator.server.server import SimulatorOptions, SimulatorServer


def main() -> int:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m realtime.simulator", description="The Realtime API on localhost.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=number(int, 0, 65535), default=8765, help="port; 0 takes a free one (%(default)s)")
    parser.add_argument("--latency", type=number(float, 0), metavar="MS", help="thinking time before an answer (120 to 220)")
    parser.add_argument(
        "--pace", type=number(float, 0.1), metavar="N", default=6.0, help="times real time at which sound is sent (%(default)s)"
    )
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="for the same ids and delays each time (%(default)s)")
    parser.add_argument(
        "--session-seconds", type=number(int, 0), metavar="N", default=3600, help="how long a session may last (%(default)s)"
    )
    parser.add_argument(
        "--ping-seconds", type=number(float, 0.01), metavar="N", default=20.0, help="how often clients are pinged (%(default)s)"
    )
    parser.add_argument("--require-key", metavar="KEY", help="refuse every other key")
    parser.add_argument("--voice", choices=("auto", "espeak", "tone"), default="auto", help="how it speaks (%(default)s)")
    parser.add_argument("--ears", choices=("auto", "off"), default="auto", help="whether it understands words (%(default)s)")
    parser.add_argument("--allow-beta", action="store_true", help="speak the beta with clients that ask for it")
    parser.add_argument("--scenario", metavar="FILE", help="say what this file says, YAML or JSON")
    parser.add_argument(
        "--fault", metavar="NAME[:AMOUNT]", action="append", default=[], help="let this go wrong; may be given more than once"
    )
    parser.add_argument("--list-faults", action="store_true", help="say which faults there are, and end")
    given = parser.parse_args()
    if given.list_faults:
        for name, sentence in described():
            print(f"{name:24} {sentence}")
        return 0
    logging.basicConfig(format="%(message)s")
    logging.getLogger("realtime.simulator").setLevel(logging.INFO)  # faults that happen, steps that are not reached
    try:
        scenario = load(given.scenario) if given.scenario else None
        OutgoingQueue(given.fault)
    except (ScenarioError, FaultError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{given.scenario} cannot be read: {error.strerror}.", file=sys.stderr)
        return 2
    options = SimulatorOptions(
        latency_ms=given.latency, pace=given.pace, seed=given.seed, session_seconds=given.session_seconds,
        ping_seconds=given.ping_seconds, require_key=given.require_key, voice=given.voice, ears=given.ears,
        allow_beta=given.allow_beta, scenario=scenario, faults=tuple(given.fault),
    )  # fmt: skip
    try:
        asyncio.run(_serve(SimulatorServer(given.host, given.port, options)))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        why = str(error.strerror).rpartition(": ")[2].capitalize()  # asyncio writes the address before it
        print(f"Nobody can listen on {given.host}, port {given.port}: {why}. Choose others with --host and --port.", file=sys.stderr)
        return 1
    return 0


def number(kind: type[int] | type[float], least: float, most: float = float("inf")) -> Callable[[str], float]:
    """A type of an argument: ``int`` or ``float`` within limits."""

    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or value == float("inf"):
            limit = f"at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is not a number {limit}")
        return value

    read.__name__ = kind.__name__  # argparse says "invalid int value"
    return read


async def _serve(server: SimulatorServer) -> None:
    ended = asyncio.Event()
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)  # sessions end as the API ends them: 1001
    async with server:
        print(f"The simulator answers at {server.url}?model=gpt-realtime-2.1", flush=True)
        await ended.wait()


if __name__ == "__main__":
    sys.exit(main())
