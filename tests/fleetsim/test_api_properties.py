"""Laws of field ownership that hold for any body: round trips, idempotence, merge patches."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim import fieldsets, merging, selectors
from fleetsim.store import ClusterStore, Fleet

NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.one_of(st.integers(0, 3), st.sampled_from(["x", "y"]), st.booleans())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, max_size=3), st.lists(LEAVES, max_size=3)
    ),
    max_leaves=8,
)
SPECS = st.dictionaries(NAMES, TREES, max_size=4)
PATHS = st.sets(st.lists(NAMES.map("f:{}".format), min_size=1, max_size=4).map(tuple), max_size=8)


def cluster() -> ClusterStore:
    """A bare cluster."""
    return Fleet(seed=1, speed=1).add_cluster("p")


def body(spec: dict[str, Any]) -> dict[str, Any]:
    """A Lease (a kind without rules of its own) with an open spec."""
    meta = {"name": "l", "namespace": "default"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def essence(obj: dict[str, Any] | None) -> Any:
    """The spec without empty maps, which an apply may or may not leave behind."""
    assert obj is not None
    return _pruned(obj.get("spec") or {})


def _pruned(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {key: _pruned(item) for key, item in value.items()}
    return {key: item for key, item in kept.items() if item != {}}


@given(PATHS)
def test_field_sets_survive_encoding(paths: set[fieldsets.Path]) -> None:
    assert fieldsets.decode(fieldsets.encode(paths)) == paths


@given(SPECS)
@settings(max_examples=60)
def test_applying_twice_changes_nothing_the_second_time(spec: dict[str, Any]) -> None:
    store = cluster()
    first = store.apply(body(spec), manager="m")
    assert store.apply(body(spec), manager="m") == first


@given(SPECS, SPECS)
@settings(max_examples=100)
def test_the_last_apply_of_a_sole_owner_is_what_remains(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    store = cluster()
    store.apply(body(before), manager="m")
    assert essence(store.apply(body(after), manager="m")) == _pruned(after)


@given(SPECS, SPECS)
@settings(max_examples=100)
def test_a_forced_apply_always_gets_its_values(
    theirs: dict[str, Any], mine: dict[str, Any]
) -> None:
    store = cluster()
    store.create(body(theirs), manager="other")
    obj = store.apply(body(mine), manager="m", force=True)
    flat = fieldsets.flatten({}, {"spec": _pruned(mine)}, "", False)
    got = fieldsets.flatten({}, {"spec": obj.get("spec") or {}}, "", False)
    wanted = {path: leaf for path, leaf in flat.items() if leaf.value is not fieldsets.CONTAINER}
    assert {path: got.get(path) for path in wanted} == wanted


@given(SPECS, SPECS)
@settings(max_examples=60)
def test_no_field_has_an_owner_without_existing(
    theirs: dict[str, Any], mine: dict[str, Any]
) -> None:
    store = cluster()
    store.create(body(theirs), manager="other")
    obj = store.apply(body(mine), manager="m", force=True)
    there = set(fieldsets.flatten({}, {"spec": obj.get("spec") or {}}, "", False))
    for entry in obj["metadata"].get("managedFields") or ():
        assert fieldsets.decode(entry["fieldsV1"]) <= there


@given(TREES, TREES)
def test_a_merge_patch_is_idempotent(target: Any, patch: Any) -> None:
    once = merging.merge_patch(target, patch)
    assert merging.merge_patch(once, patch) == once


@given(st.dictionaries(NAMES, st.sampled_from(["x", "y"])), NAMES, st.sampled_from(["x", "y"]))
def test_a_selector_and_its_opposite_split_everything(
    labels: dict[str, str], key: str, value: str
) -> None:
    equal = selectors.label_matcher(f"{key}={value}")(labels)
    assert equal is (labels.get(key) == value)
    assert selectors.label_matcher(f"{key}!={value}")(labels) is not equal
    assert selectors.label_matcher(f"{key} notin ({value})")(labels) is not equal
    assert selectors.label_matcher(key)(labels) is not selectors.label_matcher(f"!{key}")(labels)
