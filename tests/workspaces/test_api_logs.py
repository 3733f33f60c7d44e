"""What was read of a log, told by REST."""

from __future__ import annotations

import pytest

from clusters.models import Check
from fleetportal.accounts.models import Membership
from tests.conftest import ApiFor
from tests.support import People
from tests.workspaces.conftest import MakeDeployment
from workspaces.models import Workspace
from workspaces.selectors.logs import LOGS

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(people: People, make_deployment: MakeDeployment) -> str:
    """Of what the engineer read a moment ago."""
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    workspace = Workspace.objects.filter(deployment=deployment)[0]
    check = Check.objects.create(
        kind=LOGS,
        cluster=workspace.cluster,
        subject_id=str(workspace.pk),
        state="done",
        result={"text": "a prompt"},
        requested_by=people.engineer,
    )
    return f"/api/v1/checks/{check.pk}/"


def test_what_was_read_is_told_to_nobody_else_however_much_they_see(
    people: People, path: str, api: ApiFor
) -> None:
    assert api(people.engineer).get(path).json()["result"]["text"] == "a prompt"
    for other in (people.auditor, people.operator, people.admin, people.approver, people.outsider):
        assert api(other).get(path).status_code == 404


def test_a_token_that_may_not_read_logs_gets_none_that_was_read(
    people: People, path: str, api: ApiFor
) -> None:
    assert api(people.engineer, ["read"]).get(path).status_code == 404
    assert api(people.engineer, ["deploy"]).get(path).status_code == 200


def test_a_role_that_was_taken_away_takes_what_was_read_with_it(
    people: People, path: str, api: ApiFor
) -> None:
    client = api(people.engineer)
    Membership.objects.filter(user=people.engineer).update(role="viewer")
    assert client.get(path).status_code == 404
    Membership.objects.filter(user=people.engineer).delete()
    assert client.get(path).status_code in (403, 404)
