"""Typed readers for the environment. A bad value stops the process and names the variable.

A secret may come from `NAME` or from the file that `NAME_FILE` points to.
"""

from __future__ import annotations

import os
from pathlib import Path

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


class BadEnvironment(SystemExit):
    """Raised at start-up; the message names the variable and what it should be."""


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    if raw.lower() in TRUE:
        return True
    if raw.lower() in FALSE:
        return False
    raise BadEnvironment(f"{name} must be true or false, not {raw!r}")


def env_int(name: str, default: int, *, least: int | None = None, most: int | None = None) -> int:
    raw = os.environ.get(name)
    try:
        value = default if raw is None or raw == "" else int(raw)
    except ValueError as error:
        raise BadEnvironment(f"{name} must be a whole number, not {raw!r}") from error
    if (least is not None and value < least) or (most is not None and value > most):
        raise BadEnvironment(f"{name} must be between {least} and {most}, not {value}")
    return value


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in env_str(name, default).split(",") if part.strip()]


def env_secret(name: str) -> str | None:
    """The secret, or None where neither `NAME` nor `NAME_FILE` is set."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadEnvironment(f"{name}_FILE cannot be read: {error}") from error
    return os.environ.get(name) or None
