"""managedFields: who owns which field, tracked for updates and decided by server-side apply.

The rules are those of structured-merge-diff as the API server uses it. Pure apart from the stamp it
is given.
"""

from dataclasses import dataclass
from typing import Any

from fleetsim import fieldsets, merging
from fleetsim.errors import ApiError, cause, details_of
from fleetsim.fieldsets import Difference, Flat, Path
from fleetsim.kinds import Kind

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The identity of one managedFields entry."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""

    def shown(self) -> str:
        """The owner as conflict messages name it."""
        text = f'conflict with "{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}"
        return text


Sets = dict[Owner, set[Path]]


def _read(obj: Obj | None) -> Sets:
    entries = (obj or {}).get("metadata", {}).get("managedFields") or ()
    return {
        Owner(
            entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", "")
        ): fieldsets.decode(entry.get("fieldsV1") or {})
        for entry in entries
    }


def _entries(sets: Sets, before: Obj | None, stamp: str) -> list[Obj]:
    """managedFields of these sets; an entry keeps its time while its set stays the same."""
    old = _read(before)
    listed = (before or {}).get("metadata", {}).get("managedFields") or ()
    times = dict(zip(old, (entry.get("time") for entry in listed), strict=True))
    entries = []
    for owner, paths in sets.items():
        if not paths:
            continue
        time = times.get(owner) if old.get(owner) == paths else None
        entry = {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": owner.api_version,
            "time": time or stamp,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.encode(paths),
        }
        if owner.subresource:
            entry["subresource"] = owner.subresource
        entries.append(entry)
    entries.sort(key=lambda entry: (entry["operation"] != "Apply", entry["time"], entry["manager"]))
    return entries


def flat(kind: Kind, obj: Obj | None, subresource: str) -> Flat:
    """The object's paths that a write through this subresource may own."""
    if obj is None:
        return {}
    return fieldsets.flatten(kind.schema, obj, subresource, kind.status)


def after_update(kind: Kind, old: Obj | None, new: Obj, owner: Owner, stamp: str) -> list[Obj]:
    """managedFields after a create, PUT or patch: what changed belongs to `owner` and to nobody
    else.
    """
    sets = _read(old)
    scope = owner.subresource if owner.subresource == "status" else ""
    difference = fieldsets.compare(flat(kind, old, scope), flat(kind, new, scope))
    if not difference:
        return list((old or {}).get("metadata", {}).get("managedFields") or [])
    gone = difference.changed | difference.removed
    for other in sets:
        if other != owner:
            sets[other] = sets[other] - gone
    sets[owner] = (sets.get(owner, set()) | difference.changed) - difference.removed
    return _entries(sets, old, stamp)


def apply(kind: Kind, live: Obj | None, config: Obj, owner: Owner, stamp: str, force: bool) -> Obj:
    """The object after a server-side apply, managedFields included. Raises ApiError 409 with every
    conflict.

    Fields that `owner` applied before and now leaves out are dropped, unless somebody else owns
    them too.
    """
    sets = _read(live)
    if live is not None and not sets:
        before_first = Owner("before-first-apply", "Update", kind.api_version)
        sets[before_first] = set(flat(kind, live, ""))
    wanted = {path for path, leaf in flat(kind, config, owner.subresource).items() if leaf.owned}
    others: set[Path] = set().union(*(sets[other] for other in sets if other != owner))
    merged: Obj = merging.merge(kind.schema, live or {}, config)
    merging.prune(kind.schema, merged, sets.get(owner, set()) - wanted, others | wanted)
    before = flat(kind, live, owner.subresource)
    after = flat(kind, merged, owner.subresource)
    difference = fieldsets.compare(before, after)
    if live is not None:
        _settle(kind, sets, owner, difference, force, str(live["metadata"]["name"]))
    sets[owner] = wanted
    merged["metadata"]["managedFields"] = _entries(sets, live, stamp)
    return merged


def _settle(
    kind: Kind, sets: Sets, owner: Owner, difference: Difference, force: bool, name: str
) -> None:
    clashes = {
        other: sets[other] & difference.changed
        for other in sets
        if other != owner and sets[other] & difference.changed
    }
    if clashes and not force:
        raise _conflict(kind, name, clashes)
    for other in sets:
        if other != owner:
            sets[other] = sets[other] - difference.removed - difference.changed


def _conflict(kind: Kind, name: str, clashes: Sets) -> ApiError:
    pairs = [
        (owner, fieldsets.display(path))
        for owner, paths in clashes.items()
        for path in sorted(paths)
    ]
    causes = [cause("FieldManagerConflict", field, owner.shown()) for owner, field in pairs]
    if len(pairs) == 1:
        text = f"Apply failed with 1 conflict: {pairs[0][0].shown()}: {pairs[0][1]}"
    else:
        lines = []
        for owner, paths in sorted(clashes.items(), key=lambda item: item[0].manager):
            lines.append(owner.shown().replace("conflict", "conflicts", 1) + ":")
            lines += [f"- {fieldsets.display(path)}" for path in sorted(paths)]
        text = f"Apply failed with {len(pairs)} conflicts: " + "\n".join(lines)
    return ApiError(409, text, details=details_of(kind.group, kind.plural, name, causes=causes))
