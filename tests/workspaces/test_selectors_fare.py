"""How a deployment fares: the worst thing wins, unknown is never well."""

from __future__ import annotations

from workspaces.engine.fare import Going, Look, fare


def look(cluster: str, state: str = "ready", cluster_state: str = "ready", **more: object) -> Look:
    label = state.replace("_", " ").capitalize()
    found = {"reason": "", "message": "", "serving": state == "ready", **more}
    return Look(cluster, cluster_state, state, label, **found)  # type: ignore[arg-type]


def test_all_ready_is_healthy() -> None:
    found = fare("active", [look("a"), look("b")])
    assert (found.word, found.tone, found.ready, found.clusters) == ("Healthy", "ok", 2, 2)
    assert not found.attention


def test_one_stuck_workspace_gives_the_cause_with_its_cluster() -> None:
    found = fare("active", [look("a"), look("b", "stuck", message="no capacity in eastus.")])
    assert (found.word, found.tone, found.cause) == ("Stuck", "bad", "b: no capacity in eastus.")
    assert found.attention


def test_a_silent_cluster_is_unknown_and_not_counted_as_ready() -> None:
    found = fare("active", [look("a"), look("b", cluster_state="unreachable")])
    assert (found.word, found.ready, found.clusters) == ("Unknown", 1, 2)
    assert "b is unreachable" in found.cause


def test_each_silence_of_a_cluster_is_a_sentence() -> None:
    for state, words in (
        ("credentials_refused", "b refuses the portal's credential, so nobody"),
        ("different_cluster", "b answers as another cluster, so nobody"),
    ):
        assert words in fare("active", [look("a"), look("b", cluster_state=state)]).cause


def test_what_was_only_planned_on_a_silent_cluster_is_not_missed() -> None:
    found = fare("active", [look("a"), look("b", "planned", cluster_state="unreachable")])
    assert found.word == "Starting"


def test_a_change_from_outside_names_the_field() -> None:
    found = fare("active", [look("a", outside=("spec.replicas",))])
    assert found.word == "Changed outside"
    assert found.cause == "a: somebody else changed spec.replicas."


def test_a_rollout_that_waits_for_a_person_is_said_before_healthy() -> None:
    going = Going("Waiting: approval", "wait", "For production.", True, True)
    assert fare("active", [look("a")], going).word == "Waiting: approval"
    assert fare("active", [look("a", "stuck")], going).word == "Stuck"


def test_an_ended_rollout_leaves_the_word_to_the_workspaces() -> None:
    ended = Going("Succeeded", "ok", "", False, False)
    assert fare("active", [look("a")], ended).word == "Healthy"


def test_a_retiring_workspace_is_neither_ready_nor_missing() -> None:
    found = fare("active", [look("a"), look("a", "retiring")])
    assert (found.word, found.ready, found.clusters) == ("Healthy", 1, 1)


def test_no_workspace_is_no_health() -> None:
    assert fare("active", []).word == "Nothing running"
    assert fare("retiring", [look("a", "retiring")]).cause == "Being taken off a."
    assert fare("retired", []).tone == "idle"
