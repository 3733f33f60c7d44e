"""A person with a token at the REST API, in process; every answer is checked for its status."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from rest_framework.test import APIClient

from fleetportal.accounts.models import User
from tests.fleet.harness import MODEL, until
from tests.simfleet import SimCluster
from tests.support import PASSWORD

Answer = dict[str, Any]


class Person:
    """Signs in by Basic once for a token, as a script would, and uses that from then on."""

    def __init__(self, user: User) -> None:
        self.client = APIClient()
        basic = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
        self.client.credentials(HTTP_AUTHORIZATION=f"Basic {basic}")
        token = self.post("tokens/", {"name": "script", "expires_in_days": 1}, status=201)["token"]
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    def get(self, path: str, status: int = 200) -> Answer:
        return self._checked(self.client.get(f"/api/v1/{path}"), status)

    def post(
        self, path: str, body: Answer | None = None, status: int = 202, **headers: str
    ) -> Answer:
        answer = self.client.post(f"/api/v1/{path}", body or {}, format="json", headers=headers)
        return self._checked(answer, status)

    def delete(self, path: str, status: int = 202) -> Answer:
        return self._checked(self.client.delete(f"/api/v1/{path}"), status)

    def plan(self, clusters: Iterable[SimCluster], **more: Any) -> Answer:
        """A plan for exactly these clusters, once it is computed."""
        names = [cluster.name for cluster in clusters]
        asked = {
            "model": MODEL,
            "name": "chat",
            "replicas": len(names),
            "max_model_len": 2048,
            "strategy": "quick",
            "policy": {"placement_type": "PickFixed", "cluster_names": names},
        }
        plan = self.post("plans/", {**asked, **more}, status=201)
        assert plan["state"] == "ready", plan
        return plan

    def deploy(self, clusters: Iterable[SimCluster], **more: Any) -> Answer:
        """Start a plan's rollout: the deployment, with the id of its rollout."""
        plan = self.plan(clusters, **more)
        return self.post("deployments/", {"plan": plan["id"], "digest": plan["digest"]}, status=201)

    def reach(self, rollout: str, *states: str) -> Answer:
        """The rollout once it is in one of the states."""

        def there() -> Answer | None:
            found = self.get(f"rollouts/{rollout}/")
            last.append(found)
            return found if found["state"] in states else None

        last: list[Answer] = []
        try:
            return until(f"rollout {states}", there)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last[-1]}") from None

    def approval(self, rollout: str) -> Answer:
        """The open request for approval of a rollout, once there is one."""
        path = f"approvals/?rollout={rollout}&state=waiting"
        return until("an approval", lambda: (self.get(path)["results"] or [None])[0])

    def vote(
        self, approval: Answer, decision: str = "approve", status: int = 201, **more: Any
    ) -> Answer:
        body = {"decision": decision, "digest": approval["digest"], "comment": "Looked at it."}
        return self.post(f"approvals/{approval['id']}/votes/", {**body, **more}, status=status)

    def _checked(self, answer: Any, status: int) -> Answer:
        body: Answer = answer.json() if answer.content else {}
        assert answer.status_code == status, (answer.status_code, body)
        if status >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return body
