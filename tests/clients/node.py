"""Packages of Node for tests of its clients: installed once, kept in pytest's cache."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.children import die_with_us

INSTALL_WITHIN = 120  # seconds; once, then it is cached
RUN_WITHIN = 120  # seconds


def installed(config: pytest.Config, packages: tuple[str, ...], script: Path) -> Path:
    """A folder with these packages and this script; skips the test where Node or the registry is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"no Node here: {packages[0]} is not tried")
    folder = config.cache.mkdir("node") / "-".join(packages).replace("/", "-").replace("@", "")
    if not folder.exists():
        # Elsewhere first: another worker of the same run may install the same at the same time.
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
        (fresh / "package.json").write_text('{"private": true, "type": "module"}')
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", *packages]
        try:
            subprocess.run(command, cwd=fresh, check=True, capture_output=True, timeout=INSTALL_WITHIN)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            pytest.skip(f"{packages[0]} cannot be installed here: {error}")
        try:
            fresh.rename(folder)
        except OSError:  # the other one was faster
            shutil.rmtree(fresh)
    shutil.copy(script, folder)  # modules are looked for beside the script
    return folder


async def run(folder: Path, script: Path, *arguments: str, **environment: str) -> str:
    """What a script prints; fails with what it complains of when it does not end well."""
    process = await asyncio.create_subprocess_exec(
        "node", script.name, *arguments, cwd=folder, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0, preexec_fn=die_with_us(),
    )  # fmt: skip
    try:
        async with asyncio.timeout(RUN_WITHIN):
            out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    return out.decode()
