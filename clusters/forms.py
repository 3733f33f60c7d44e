"""What people type about clusters, as values for the services. Secrets are never given back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clusters.engine.credential import CredentialError, Problem, parse_parts
from clusters.engine.inventory import Quota
from clusters.engine.kubeconfig import ClusterCredential, parse_kubeconfig
from clusters.models import Cluster
from clusters.services.registration import Registration
from fleetportal.kit.errors import Invalid

MAX_UPLOAD = 256 * 1024
MODES = ("kubeconfig", "fields")
SHOWN = ("server", "tls_server_name", "context")  # what may be given back after an error
SENT_FIELDS = ("server", "ca", "token", "client_cert", "client_key", "tls_server_name")
PROVIDERS = (("", "Not said"), ("azure", "Azure"), ("aws", "AWS"), ("gcp", "Google Cloud"))
MAX_QUOTA = 100_000


@dataclass(slots=True)
class CredentialForm:
    """A kubeconfig, or the parts of one. `errors`: field -> words."""

    mode: str = "kubeconfig"
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    credential: ClusterCredential | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.mode = self.mode if self.mode in MODES else MODES[0]

    @classmethod
    def sent(cls, data: Mapping[str, Any], files: Mapping[str, Any]) -> CredentialForm:
        """Read and judge what was posted."""
        form = cls(mode=str(data.get("from", "")))
        form.values = {name: str(data.get(name, "")).strip() for name in SHOWN}
        try:
            form.credential = form._read(data, files)
        except CredentialError as error:
            form._note(error.problems)
        return form

    def _read(self, data: Mapping[str, Any], files: Mapping[str, Any]) -> ClusterCredential:
        if self.mode == "fields":
            return parse_parts({name: str(data.get(name, "")) for name in SENT_FIELDS})
        return parse_kubeconfig(_text(data, files), context=self.values["context"] or None)

    def _note(self, problems: tuple[Problem, ...]) -> None:
        """A problem goes to the form's field; inside a kubeconfig its path is said in words."""
        for one in problems:
            at = one.field if self.mode == "fields" or one.field == "context" else "kubeconfig"
            path = f"{one.field}: " if at == "kubeconfig" and one.field != at else ""
            words = f"{path}{one.message} {one.remedy}".strip()
            self.errors[at] = f"{self.errors[at]} {words}" if at in self.errors else words

    def refuse(self, error: Invalid) -> None:
        """Take in what a service refused."""
        for one in error.problems:
            hidden = one.field == "server" and self.mode == "kubeconfig"
            self.errors["kubeconfig" if hidden else one.field] = (
                f"{'Server: ' if hidden else ''}{one}".strip()
            )


def _text(data: Mapping[str, Any], files: Mapping[str, Any]) -> bytes:
    """The pasted text, else the file."""
    pasted = str(data.get("kubeconfig", "")).strip()
    upload = files.get("file")
    if pasted or upload is None:
        if not pasted:
            raise CredentialError(
                Problem("kubeconfig", "Nothing was sent.", "Paste a kubeconfig or choose a file.")
            )
        return pasted.encode()
    if upload.size > MAX_UPLOAD:
        raise CredentialError(
            Problem("kubeconfig", "It is larger than 256 KiB.", "Send one context only.")
        )
    content: bytes = upload.read()
    return content


@dataclass(slots=True)
class RegisterForm:
    """The whole page of joining."""

    credential: CredentialForm
    values: dict[str, str] = field(default_factory=dict)
    teams: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def sent(cls, data: Any, files: Mapping[str, Any]) -> RegisterForm:
        """`data` is a QueryDict: teams may come more than once."""
        names = ("name", "environment", "region", "provider", "labels", "access")
        form = cls(
            credential=CredentialForm.sent(data, files),
            values={name: str(data.get(name, "")).strip() for name in names},
            teams=data.getlist("teams"),
        )
        form._read_labels()
        if form.values["access"] == "teams" and not form.teams:
            form.errors["access"] = "No team is chosen. Choose at least one, or open it to all."
        return form

    @property
    def all_errors(self) -> dict[str, str]:
        return {**self.credential.errors, **self.errors}

    def registration(self) -> Registration | None:
        """None while anything is wrong."""
        credential = self.credential.credential
        if credential is None or self.all_errors:
            return None
        return Registration(
            name=self.values["name"],
            credential=credential,
            environment=self.values["environment"],
            region=self.values["region"],
            provider=self.values["provider"],
            labels=self.labels,
            grants=tuple(self.teams) if self.values["access"] == "teams" else None,
        )

    def refuse(self, error: Invalid) -> None:
        """Take in what the service refused."""
        for one in error.problems:
            if one.field == "server":
                self.credential.refuse(Invalid(one))
            else:
                self.errors[one.field] = f"It {one}" if one.field == "name" else str(one)

    def _read_labels(self) -> None:
        for line in self.values["labels"].replace(",", "\n").splitlines():
            key, found, value = line.strip().partition("=")
            if not line.strip():
                continue
            if not found or not key.strip() or len(line) > 200:
                self.errors["labels"] = f"{line.strip()[:60]!r} is no label. Write key=value."
                return
            self.labels[key.strip()] = value.strip()


@dataclass(slots=True)
class QuotaForm:
    """One line for each instance type: `Standard_NC24ads_A100_v4 6 spot`."""

    text: str
    errors: dict[str, str] = field(default_factory=dict)
    quotas: list[Quota] = field(default_factory=list)

    @classmethod
    def of(cls, cluster: Cluster) -> QuotaForm:
        rows = cluster.quotas.order_by("instance_type")
        return cls("\n".join(_quota_line(q.instance_type, q.nodes, q.capacity_type) for q in rows))

    @classmethod
    def sent(cls, data: Mapping[str, Any]) -> QuotaForm:
        form = cls(str(data.get("quotas", "")))
        for line in form.text.splitlines():
            if line.strip() and not form._read(line.split()):
                return form
        return form

    def _read(self, words: list[str]) -> bool:
        shown = " ".join(words)[:80]
        capacity = words[2] if len(words) == 3 else "on-demand"
        if not 2 <= len(words) <= 3 or not _count(words[1]) <= MAX_QUOTA:
            return self._wrong(f"{shown!r}: write an instance type and a number of nodes.")
        if capacity not in ("on-demand", "spot", "reserved"):
            return self._wrong(f"{shown!r}: the third word is on-demand, spot or reserved.")
        if len(words[0]) > 80 or words[0] in {quota.instance_type for quota in self.quotas}:
            return self._wrong(f"{words[0][:80]!r} is there twice or too long.")
        self.quotas.append(Quota(words[0], int(words[1]), capacity))
        return True

    def _wrong(self, words: str) -> bool:
        self.errors["quotas"] = words
        return False


def _count(text: str) -> float:
    """The number of nodes; endless where it is no number of a sensible length."""
    return int(text) if text.isdecimal() and len(text) < 10 else math.inf


def _quota_line(instance_type: str, nodes: int, capacity_type: str) -> str:
    return f"{instance_type} {nodes}" + (
        "" if capacity_type == "on-demand" else f" {capacity_type}"
    )
