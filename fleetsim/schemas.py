"""Structural schemas of custom resources: pruning, defaulting, validation. Pure; built-in kinds
pass untouched.
"""

import copy
import re
from typing import Any

from fleetsim import errors
from fleetsim.errors import ApiError
from fleetsim.kinds import Kind

Schema = dict[str, Any]
Causes = list[dict[str, str]]
_OPEN = "x-kubernetes-preserve-unknown-fields"
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


_ELSEWHERE = ("apiVersion", "kind", "metadata")


def process(kind: Kind, obj: dict[str, Any], validation: str, warnings: list[str]) -> None:
    """Prune, default and validate in place. Raises ApiError 400 (Strict, unknown field) or 422."""
    if not kind.custom:
        return
    schema, body = _parts(kind, obj)
    unknown: list[str] = []
    _prune(schema, body, "", unknown)
    if unknown and validation == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise ApiError(400, f"strict decoding error: {listed}")
    if validation == "Warn":
        warnings += [f'unknown field "{path}"' for path in unknown]
    _default(schema, body)
    for key in [key for key in obj if key not in _ELSEWHERE]:
        del obj[key]
    obj.update(body)
    causes: Causes = []
    _validate(schema, body, "", causes)
    if causes:
        raise errors.invalid(kind.group, kind.kind, obj["metadata"]["name"], causes)


def _parts(kind: Kind, obj: dict[str, Any]) -> tuple[Schema, dict[str, Any]]:
    """(schema, body) without metadata, which the server checks by itself."""
    properties = kind.schema["properties"].items()
    kept = {name: child for name, child in properties if name not in _ELSEWHERE}
    body = {name: value for name, value in obj.items() if name not in _ELSEWHERE}
    return {**kind.schema, "properties": kept}, body


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _prune(schema: Schema, value: Any, path: str, unknown: list[str]) -> None:
    """Drop undeclared fields (noting their paths); nulls of declared, not nullable fields count as
    absent.
    """
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for name in list(value):
            child = properties.get(name) or (extra if isinstance(extra, dict) else None)
            if child is not None:
                if value[name] is None and not child.get("nullable"):
                    del value[name]
                else:
                    _prune(child, value[name], _join(path, name), unknown)
            elif not schema.get(_OPEN) and not extra:
                unknown.append(_join(path, name))
                del value[name]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _prune(schema.get("items") or {_OPEN: True}, item, f"{path}[{index}]", unknown)


def _default(schema: Schema, value: Any) -> None:
    if isinstance(value, dict):
        for name, child in (schema.get("properties") or {}).items():
            if name not in value and "default" in child:
                value[name] = copy.deepcopy(child["default"])
        for name, item in value.items():
            extra = schema.get("additionalProperties")
            child = (schema.get("properties") or {}).get(name)
            _default(child or (extra if isinstance(extra, dict) else {}), item)
    elif isinstance(value, list):
        for item in value:
            _default(schema.get("items") or {}, item)


def _validate(schema: Schema, value: Any, path: str, causes: Causes) -> None:
    if value is None and schema.get("nullable"):
        return
    if not _check_type(schema, value, path, causes):
        return
    _check_value(schema, value, path, causes)
    if isinstance(value, dict):
        _required(schema, value, path, causes)
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            child = (schema.get("properties") or {}).get(name)
            _validate(
                child or (extra if isinstance(extra, dict) else {}), item, _join(path, name), causes
            )
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _validate(schema.get("items") or {}, item, f"{path}[{index}]", causes)


def _required(schema: Schema, value: dict[str, Any], path: str, causes: Causes) -> None:
    for name in schema.get("required") or ():
        if name not in value and name not in _ELSEWHERE:
            causes.append(errors.cause("FieldValueRequired", _join(path, name), "Required value"))


def _check_type(schema: Schema, value: Any, path: str, causes: Causes) -> bool:
    wanted = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return True
    python = _PYTHON.get(wanted or "")
    if python is None:
        return True
    wrong_bool = isinstance(value, bool) and wanted in ("integer", "number")
    if isinstance(value, python) and not wrong_bool:
        return True
    found = _type_name(value)
    text = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    causes.append(errors.cause("FieldValueTypeInvalid", path, text))
    return False


def _type_name(value: Any) -> str:
    names = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (dict, "object"),
    )
    for python, name in names:
        if isinstance(value, python):
            return name
    return "array" if isinstance(value, list) else "null"


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _check_value(schema: Schema, value: Any, path: str, causes: Causes) -> None:
    enum = schema.get("enum")
    if enum and value not in enum:
        listed = ", ".join(_shown(item) for item in enum)
        text = f"Unsupported value: {_shown(value)}: supported values: {listed}"
        causes.append(errors.cause("FieldValueNotSupported", path, text))
    for broken in _limits(schema, value, path):
        text = f"Invalid value: {_shown(value)}: {broken}"
        causes.append(errors.cause("FieldValueInvalid", path, text))


def _limits(schema: Schema, value: Any, path: str) -> list[str]:
    broken = []
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            broken.append(f"{path} in body should be greater than or equal to {schema['minimum']}")
        if "maximum" in schema and value > schema["maximum"]:
            broken.append(f"{path} in body should be less than or equal to {schema['maximum']}")
    if isinstance(value, str):
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            broken.append(f"may not be more than {schema['maxLength']} bytes")
        if "minLength" in schema and len(value) < schema["minLength"]:
            broken.append(f"{path} in body should be at least {schema['minLength']} chars long")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            broken.append(f"{path} in body should match '{schema['pattern']}'")
    if isinstance(value, list) and "maxItems" in schema and len(value) > schema["maxItems"]:
        broken.append(f"must have at most {schema['maxItems']} items")
    if isinstance(value, list) and "minItems" in schema and len(value) < schema["minItems"]:
        broken.append(f"{path} in body should have at least {schema['minItems']} items")
    return broken


def check_declared(kind: Kind, obj: dict[str, Any], validation: str) -> None:
    """An apply with Strict validation of a field that the schema does not declare: 500, as the real
    server says.
    """
    if not kind.custom or validation != "Strict":
        return
    unknown: list[str] = []
    schema, body = _parts(kind, obj)
    _prune(schema, copy.deepcopy(body), "", unknown)
    if unknown:
        meta = obj["metadata"]
        target = f"{meta.get('namespace', '')}/{meta['name']}; {kind.api_version}, Kind={kind.kind}"
        raise ApiError(
            500,
            f"failed to create typed patch object ({target}): .{unknown[0]}: "
            "field not declared in schema",
        )
