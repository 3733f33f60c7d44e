"""Names of what a revision is on a cluster. A name is never used twice: KAITO's finalizers make an
apply onto a terminating object succeed and get lost, so every attempt has a name of its own."""

from __future__ import annotations

import hashlib
import re

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
INFERENCE_SET_MAX = 46  # a child adds 6, and a StatefulSet may have 52 characters
DEPLOYMENT_MAX = 36

# A Service of this form could meet one that KAITO makes for a Workspace, and KAITO silently uses
# any Service that has the Workspace's name.
RESERVED = re.compile(r".*-r[0-9]+-[0-9a-f]{4}(-[a-z0-9]{5})?(-headless|-inferencepool)?")


def is_label(text: str, longest: int = 63) -> bool:
    """A DNS-1123 label of at most `longest` characters."""
    return len(text) <= longest and LABEL.fullmatch(text) is not None


def short_hash(*parts: object, length: int = 4) -> str:
    """The first hexadecimal digits of SHA-256 over the parts."""
    text = "\x00".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def namespace_of(team: str) -> str:
    """Where a team's objects live on every cluster: the team's slug, out of the way of namespaces
    that clusters bring with them."""
    return f"fp-{team}"


def object_name(*, install: str, team: str, deployment: str, number: int, attempt: int) -> str:
    """`<deployment>-r<number>-<4 hex>`; the suffix differs per install, team and attempt."""
    suffix = short_hash(install, team, deployment, number, attempt)
    return f"{deployment}-r{number}-{suffix}"
