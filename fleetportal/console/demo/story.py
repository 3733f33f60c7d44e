"""What has happened in the demo before anyone looks: made by the real services, never by INSERTs.

The clusters' own troubles come from the simulator's control. Parts use clusters and nodes of their
own and leave room for the first run (test-use1, stg-weu, prod-weu), so that no order of clicks
breaks another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clusters.models import Cluster
from fleetportal.accounts.services import role_grant, role_revoke
from fleetportal.console.demo.acting import (
    Part,
    Wish,
    asked,
    decided,
    drive,
    reached,
    started,
    team,
    who,
)
from fleetportal.console.demo.simulator import Simulator
from rollouts.models import Approval
from rollouts.services.control import rollout_rollback
from workspaces.models import Workspace
from workspaces.services.secrets import secret_set

TOKEN = "hf_the_demo_downloads_nothing"  # noqa: S105 - gated models of the simulator want one
AWAY = "prod-euc1"

ASSIST_CHAT = "meta-llama/Llama-3.1-8B-Instruct"
DOC_SUMMARY = "openai/gpt-oss-20b"
CODE_REVIEW = "Qwen/Qwen2.5-Coder-32B-Instruct"
TICKET_TRIAGE = "mistralai/Ministral-3-8B-Instruct-2512"
AGENT_TOOLS = "Qwen/Qwen3.5-9B"
MINISTRAL_3B = "mistralai/Ministral-3-3B-Instruct-2512"
KYC_EXTRACT = "google/gemma-3-27b-it"
FRAUD_NOTES = "microsoft/phi-4"


@dataclass
class Story:
    """The parts, and what they share: the simulator and who acts."""

    simulator: Simulator
    trouble: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def run(self) -> None:
        """All parts, to their ends. Never raises for one of them."""
        drive({"first looks": self.first_looks()})
        drive(
            {
                "kyc-extract": self.kyc_extract(),
                "assist-chat": self.assist_chat(),
                "doc-summary": self.doc_summary(),
                "code-review": self.code_review(),
                "agent-tools": self.agent_tools(),
                "ticket-triage": self.ticket_triage(),
                "meeting-notes": self.meeting_notes(),
                "fraud-notes": self.fraud_notes(),
                "claims-search": self.claims_search(),
                "release-notes": self.release_notes(),
            }
        )

    def first_looks(self) -> Part:
        """Faults and deployments only after every cluster's first inventory is stored."""
        yield lambda: not Cluster.objects.filter(observed_at=None).exists()
        secret_set(principal=who("engineer"), team=team("assist"), value=TOKEN)
        secret_set(principal=who("dana"), team=team("risk"), value=TOKEN)

    def kyc_extract(self) -> Part:
        """Waits for approval, and its cluster goes away meanwhile: the pre-flight is red."""
        wish = Wish("risk", "dana", "kyc-extract", KYC_EXTRACT, (AWAY,), strategy="staged")
        try:
            rollout = yield from started(wish)
            yield asked(rollout)
        finally:
            self.simulator.cut(AWAY)
        yield lambda: Cluster.objects.filter(name=AWAY, state="unreachable").exists()
        self.simulator.silence(AWAY)

    def assist_chat(self) -> Part:
        """Healthy: a gated model on two clusters."""
        where = ("test-use1", "prod-eus2")
        wish = Wish("assist", "engineer", "assist-chat", ASSIST_CHAT, where, 2)
        yield reached((yield from started(wish)), "succeeded")

    def doc_summary(self) -> Part:
        """A second revision waits for its approval; the pre-flight is green."""
        where = ("prod-eus2",)
        first = Wish("assist", "engineer", "doc-summary", DOC_SUMMARY, where, 1, 8192)
        yield reached((yield from started(first)), "succeeded")
        second = Wish("assist", "engineer", "doc-summary", DOC_SUMMARY, where, 1, 16384, "staged")
        yield asked((yield from started(second)))

    def code_review(self) -> Part:
        """Stuck: the cloud has no machine of the kind that the quota allows."""
        where = ("stg-eus", "prod-eus2")
        wish = Wish("assist", "engineer", "code-review", CODE_REVIEW, where, 2, 8192, "staged")
        rollout = yield from started(wish)
        yield lambda: Workspace.objects.filter(
            revision_id=rollout.revision_id, state="stuck"
        ).exists()

    def agent_tools(self) -> Part:
        """Drifting: somebody edits the number of replicas on the cluster."""
        wish = Wish("assist", "engineer", "agent-tools", AGENT_TOOLS, ("prod-weu",), 2, 8192)
        rollout = yield from started(wish)
        yield reached(rollout, "succeeded")
        held = Workspace.objects.get(revision_id=rollout.revision_id)
        patch = {"spec": {"replicas": 1}}
        self.simulator.edit("prod-weu", held.kind, held.namespace, held.name, patch)

    def ticket_triage(self) -> Part:
        """Rejected: the new revision is a third slower, and the approver says so."""
        where = ("test-weu", "prod-eus2")
        first = Wish("assist", "engineer", "ticket-triage", TICKET_TRIAGE, where, 2)
        yield reached((yield from started(first)), "succeeded")
        for cluster in where:
            self._trouble(cluster, {"kind": "slow", "match": "ticket-triage-r2", "factor": 0.69})
        second = Wish(
            "assist", "engineer", "ticket-triage", TICKET_TRIAGE, where, 2, 8192, "staged"
        )
        comment = "Peak tokens per minute are 31 % below revision 1."
        yield from decided((yield from started(second)), "reject", comment)

    def meeting_notes(self) -> Part:
        """Soaking, for half an hour."""
        where = ("stg-weu",)
        wish = Wish("assist", "engineer", "meeting-notes", MINISTRAL_3B, where, strategy="watched")
        yield from started(wish)

    def fraud_notes(self) -> Part:
        """Rolled back: the second revision was killed for want of memory."""
        where = ("prod-eus2",)
        first = Wish("risk", "dana", "fraud-notes", FRAUD_NOTES, where)
        yield reached((yield from started(first)), "succeeded")
        self._trouble("prod-eus2", {"kind": "oom", "match": "fraud-notes-r2"})
        second = Wish("risk", "dana", "fraud-notes", FRAUD_NOTES, where, 1, 16384)
        rollout = yield from started(second)
        yield lambda: Workspace.objects.filter(
            revision_id=rollout.revision_id, reason="ContainerOOMKilled"
        ).exists()
        rollout.refresh_from_db()
        reason = "Killed for want of memory at 16,384 tokens."
        rollout_rollback(principal=who("dana"), rollout=rollout, reason=reason)

    def claims_search(self) -> Part:
        """The approver asked for this one while standing in as an engineer: others decide it."""
        role_grant(username="approver", role="engineer", team="risk")
        try:
            where = ("prod-eus2",)
            wish = Wish("risk", "approver", "claims-search", MINISTRAL_3B, where, strategy="staged")
            yield asked((yield from started(wish)))
        finally:
            role_revoke(username="approver", role="engineer", team="risk")

    def release_notes(self) -> Part:
        """Nobody decided in time."""
        where, how = ("prod-weu",), "short-notice"
        wish = Wish("assist", "engineer", "release-notes", MINISTRAL_3B, where, strategy=how)
        rollout = yield from started(wish)
        yield lambda: Approval.objects.filter(rollout=rollout, state="expired").exists()

    def _trouble(self, cluster: str, fault: dict[str, Any]) -> None:
        """One more thing goes wrong there; the simulator's call replaces the list."""
        self.trouble.setdefault(cluster, []).append(fault)
        self.simulator.trouble(cluster, self.trouble[cluster])
