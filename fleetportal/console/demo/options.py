"""What the demo was asked for by the environment; a bad variable is named with its limits."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path


class CannotStart(SystemExit):
    """The message says what to do about it."""


@dataclass(frozen=True)
class Options:
    """`clusters` 0: the story's own; `redis_url` empty: start one."""

    port: int
    clusters: int
    speed: float
    data: Path
    password: str
    redis_url: str


def options_from(env: dict[str, str], default_data: Path) -> Options:
    """Read the demo's variables. Raises CannotStart naming a bad one."""
    port = _number(env, "PORT", 8000, 1, 65535)
    clusters = _number(env, "CLUSTERS", 9, 1, 1000)
    speed = _number(env, "SPEED", 20, 1, 1000)
    return Options(
        port=port,
        clusters=0 if clusters == 9 else clusters,
        speed=float(speed),
        data=_folder(env, default_data),
        password=env.get("DEMO_PASSWORD") or secrets.token_urlsafe(12),
        redis_url=env.get("REDIS_URL", ""),
    )


def _number(env: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    raw = env.get(name) or str(default)
    if not (raw.isascii() and raw.isdigit()) or not least <= int(raw) <= most:
        raise CannotStart(f"{name} must be a whole number from {least} to {most}, not {raw!r}.")
    return int(raw)


def _folder(env: dict[str, str], default: Path) -> Path:
    try:
        return Path(env.get("DATA_DIR") or default).expanduser().resolve()
    except RuntimeError as error:  # ~somebody, whom this machine does not know
        raise CannotStart(
            f"DATA_DIR {env['DATA_DIR']} names a home that does not exist. Write the whole path."
        ) from error
