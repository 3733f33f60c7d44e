"""Which object belongs to which: the index behind garbage collection. Knows uids, not bodies."""

from dataclasses import dataclass, field

from fleetsim.table import Record

Place = tuple[str, str, str]
"""(kind, namespace, name)."""


@dataclass(slots=True)
class Owners:
    """`dependents` maps an owner's uid to the objects that name it; `places` finds any live uid."""

    dependents: dict[str, set[Place]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def put(self, kind: str, new: Record, old: Record | None) -> None:
        """An object was created or changed."""
        place = (kind, new.namespace, new.name)
        if old is None or old.owners != new.owners:
            self._forget(place, old)
            for uid in new.owners:
                self.dependents.setdefault(uid, set()).add(place)
        self.places[new.uid] = place

    def drop(self, kind: str, old: Record) -> None:
        """An object has gone."""
        self._forget((kind, old.namespace, old.name), old)
        self.places.pop(old.uid, None)

    def _forget(self, place: Place, old: Record | None) -> None:
        for uid in old.owners if old else ():
            self.dependents.get(uid, set()).discard(place)
