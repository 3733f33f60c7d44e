"""Minimal CRDs of the kinds the portal works with, written from their documented fields."""

from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parent


def load(*names: str) -> list[dict[str, Any]]:
    """The CRD objects of the named files (`workspace`, `inferenceset`, `karpenter`); all files when
    none is named.
    """
    paths = [_HERE / f"{name}.yaml" for name in names] if names else sorted(_HERE.glob("*.yaml"))
    return [crd for path in paths for crd in yaml.safe_load_all(path.read_text())]
