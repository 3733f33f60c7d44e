"""What people type about prices, as wishes for the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from clusters.engine.price_sheet import COLUMNS, NONE, Wish, read_wish
from clusters.engine.prices import ON_DEMAND
from fleetportal.kit.errors import FieldProblem, Invalid

MAX_UPLOAD = 2 * 1024 * 1024


@dataclass(slots=True)
class PriceForm:
    """One price. `wish` None while anything is wrong, or nothing was sent."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    wish: Wish | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> PriceForm:
        """Filled in by the address; nothing is judged."""
        values = {name: str(data.get(name, ""))[:200] for name in COLUMNS}
        return cls(values | {"capacity_type": values["capacity_type"] or ON_DEMAND})

    @classmethod
    def sent(cls, data: Mapping[str, Any]) -> PriceForm:
        form = cls({name: str(data.get(name, "")).strip() for name in COLUMNS})
        if data.get("take_back"):
            form.values["usd_per_hour"] = NONE
        found = read_wish(form.values, timezone.now().date())
        if isinstance(found, Wish):
            form.wish = found
        else:
            form.errors = {one.field: f"{one.message} {one.remedy}" for one in found}
        return form


@dataclass(slots=True)
class SheetForm:
    """A pasted or uploaded sheet."""

    text: str = ""
    problems: list[FieldProblem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.text) and not self.problems

    @classmethod
    def sent(cls, data: Mapping[str, Any], files: Mapping[str, Any]) -> SheetForm:
        pasted, upload = str(data.get("csv", "")), files.get("file")
        if pasted.strip():
            return cls(pasted)
        form = cls()
        if upload is None:
            form._wrong("Nothing was sent.", "Paste a sheet or choose a file.")
        elif upload.size > MAX_UPLOAD:
            form._wrong("The file is larger than 2 MiB.", "Send it in parts.")
        else:
            form._decode(upload.read())
        return form

    def refuse(self, error: Invalid) -> None:
        self.problems.extend(error.problems)

    def _decode(self, raw: bytes) -> None:
        try:
            self.text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._wrong("The file is not UTF-8 text.", "Save it as CSV in UTF-8.")
        if not self.problems and not self.text.strip():
            self._wrong("The file is empty.", "Choose another one.")

    def _wrong(self, message: str, remedy: str) -> None:
        self.problems.append(FieldProblem("csv", message, remedy))
