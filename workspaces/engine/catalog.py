"""Catalog entries from already-loaded documents; reading files is not done here.

A document that does not fit is refused as a whole, naming the model and the field: a catalog that
is half right would size and price wrongly without anybody noticing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from workspaces.engine.types import ModelSpec

T = TypeVar("T")

ATTENTION = ("MHA", "GQA", "MQA", "MLA")
HYBRID = ("mamba", "linear", "sliding")
REQUIRED = (
    *("hf_id", "name", "summary", "licence", "architecture", "weights_gib", "kv_bytes_per_token"),
    *("context_limit", "attention", "runtimes", "startup_timeout_minutes"),
)
OPTIONAL = (
    *("aliases", "gated", "parameters", "loaded_weights_gib", "kv_heads", "hybrid"),
    *("quantization", "min_compute_capability", "tool_call_parser", "reasoning_parser"),
    *("launch", "tuning", "mt_bench", "tasks", "tags"),
)


class CatalogError(ValueError):
    """A catalog document does not fit; the text names the model, the field and the remedy."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One deployable model. Sizes are in `spec`; None is unknown. `parameters` is the size in the
    publisher's own words ("35B-A3B"); `launch` is how KAITO starts it beyond the common flags;
    `mt_bench` is KAITO's score of 80 questions, 0..10."""

    spec: ModelSpec
    name: str
    publisher: str
    summary: str
    licence: str
    aliases: tuple[str, ...] = ()
    parameters: str | None = None
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    launch: Mapping[str, str | bool] = field(default_factory=dict, hash=False)
    tuning: bool = False
    startup_timeout_minutes: int = 30
    mt_bench: float | None = None
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        return self.spec.slug

    @property
    def words(self) -> str:
        """Everything a search looks at, in lower case."""
        parts = (self.spec.hf_id, self.publisher, self.summary, self.licence, *self.aliases)
        facts = (self.parameters or "", self.spec.quantization, *self.tasks, *self.tags)
        return " ".join((*parts, *facts)).lower()


def slug_of(hf_id: str) -> str:
    """The Hugging Face id in lower case with "/" as "--": safe in a URL and a label."""
    return hf_id.lower().replace("/", "--")


def parse(documents: Iterable[object]) -> tuple[CatalogEntry, ...]:
    """Entries of all documents, by slug. Raises CatalogError."""
    entries = [entry for document in documents for entry in _document(document)]
    entries.sort(key=lambda entry: entry.slug)
    index(entries)
    return tuple(entries)


def index(entries: Iterable[CatalogEntry]) -> Mapping[str, CatalogEntry]:
    """Every name an entry answers to, in lower case: id, slug, aliases. Raises CatalogError."""
    names: dict[str, CatalogEntry] = {}
    for entry in entries:
        for name in (entry.spec.hf_id, entry.slug, *entry.aliases):
            other = names.setdefault(name.lower(), entry)
            if other is not entry:
                raise CatalogError(
                    f"{entry.spec.hf_id}: the name {name!r} is taken by {other.spec.hf_id}; "
                    "give each model names of its own"
                )
    return names


def resolve(names: Mapping[str, CatalogEntry], name: str) -> CatalogEntry | None:
    """The entry for an id in any case, a slug or an alias; None when there is none."""
    return names.get(name.strip().lower())


def _document(document: object) -> list[CatalogEntry]:
    top = _mapping(document, "catalog document")
    publisher = _text(top, "publisher", "catalog document")
    models = top.get("models")
    if not isinstance(models, list):
        raise CatalogError(f"{publisher}: models must be a list")
    return [_entry(_mapping(raw, f"{publisher}: a model"), publisher) for raw in models]


def _entry(raw: Mapping[str, object], publisher: str) -> CatalogEntry:
    who = str(raw.get("hf_id", f"{publisher}: a model"))
    _known_fields(raw, who)
    return CatalogEntry(
        spec=_spec(raw, who),
        name=_text(raw, "name", who),
        publisher=publisher,
        summary=_text(raw, "summary", who),
        licence=_text(raw, "licence", who),
        aliases=_texts(raw, "aliases", who),
        parameters=_optional(raw, "parameters", who, _text),
        tool_call_parser=_optional(raw, "tool_call_parser", who, _text),
        reasoning_parser=_optional(raw, "reasoning_parser", who, _text),
        launch=_launch(raw, who),
        tuning=_flag(raw, "tuning", who),
        startup_timeout_minutes=_count(raw, "startup_timeout_minutes", who),
        mt_bench=_optional(raw, "mt_bench", who, _number),
        tasks=_texts(raw, "tasks", who),
        tags=_texts(raw, "tags", who),
    )


def _spec(raw: Mapping[str, object], who: str) -> ModelSpec:
    hf_id = _text(raw, "hf_id", who)
    return ModelSpec(
        slug=slug_of(hf_id),
        hf_id=hf_id,
        weights_gib=_number(raw, "weights_gib", who),
        kv_bytes_per_token=_count(raw, "kv_bytes_per_token", who),
        context_limit=_count(raw, "context_limit", who),
        gated=_flag(raw, "gated", who),
        attention=_choice(raw, "attention", who, ATTENTION),
        architecture=_text(raw, "architecture", who),
        quantization=_optional(raw, "quantization", who, _text) or "",
        runtimes=_texts(raw, "runtimes", who),
        min_compute_capability=_optional(raw, "min_compute_capability", who, _number),
        kv_heads=_optional(raw, "kv_heads", who, _count),
        hybrid=_choice(raw, "hybrid", who, HYBRID) if raw.get("hybrid") is not None else "",
        loaded_weights_gib=_optional(raw, "loaded_weights_gib", who, _number),
    )


def _known_fields(raw: Mapping[str, object], who: str) -> None:
    unknown = sorted(set(raw) - set(REQUIRED) - set(OPTIONAL))
    missing = [name for name in REQUIRED if raw.get(name) in (None, [])]
    if unknown:
        raise CatalogError(f"{who}: unknown field {unknown[0]!r}; remove it or correct its name")
    if missing:
        raise CatalogError(f"{who}: {missing[0]} is missing; every model needs it")


def _mapping(value: object, who: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise CatalogError(f"{who}: must be a mapping of fields")
    return value


def _text(raw: Mapping[str, object], name: str, who: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value.strip():
        raise CatalogError(f"{who}: {name} must be text, not {value!r}; quote it")
    return value


def _number(raw: Mapping[str, object], name: str, who: str) -> float:
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise CatalogError(f"{who}: {name} must be a positive number, not {value!r}")
    return float(value)


def _count(raw: Mapping[str, object], name: str, who: str) -> int:
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**9:
        raise CatalogError(f"{who}: {name} must be a positive whole number, not {value!r}")
    return value


def _flag(raw: Mapping[str, object], name: str, who: str) -> bool:
    value = raw.get(name, False)
    if not isinstance(value, bool):
        raise CatalogError(f"{who}: {name} must be true or false, not {value!r}")
    return value


def _texts(raw: Mapping[str, object], name: str, who: str) -> tuple[str, ...]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CatalogError(f"{who}: {name} must be a list of texts, not {value!r}")
    return tuple(value)


def _choice(raw: Mapping[str, object], name: str, who: str, allowed: tuple[str, ...]) -> str:
    value = _text(raw, name, who)
    if value not in allowed:
        raise CatalogError(f"{who}: {name} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _optional(
    raw: Mapping[str, object],
    name: str,
    who: str,
    read: Callable[[Mapping[str, object], str, str], T],
) -> T | None:
    return None if raw.get(name) is None else read(raw, name, who)


def _launch(raw: Mapping[str, object], who: str) -> Mapping[str, str | bool]:
    value = _mapping(raw.get("launch", {}), f"{who}: launch")
    for name, setting in value.items():
        if not isinstance(setting, str | bool):
            raise CatalogError(f"{who}: launch.{name} must be text, true or false")
    return {k: v for k, v in value.items() if isinstance(v, str | bool)}
