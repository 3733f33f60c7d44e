"""Who may do what: one table from verb to the roles that carry it. No models, no requests.

Team roles count in the team that owns the object; fleet roles count everywhere. A token narrows
its user to the verbs of its scopes.
"""

from __future__ import annotations

from enum import StrEnum


class TeamRole(StrEnum):
    VIEWER = "viewer"
    ENGINEER = "engineer"
    APPROVER = "approver"


class FleetRole(StrEnum):
    NONE = ""
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


ANY_TEAM_ROLE = frozenset(TeamRole)
SEES_ALL = frozenset({FleetRole.OPERATOR, FleetRole.ADMIN, FleetRole.AUDITOR})

# verb -> (team roles, fleet roles). A verb with no team roles needs a fleet role.
VERBS: dict[str, tuple[frozenset[TeamRole], frozenset[FleetRole]]] = {
    "view": (ANY_TEAM_ROLE, SEES_ALL),
    "audit.view": (ANY_TEAM_ROLE, SEES_ALL),
    "token.own": (ANY_TEAM_ROLE, SEES_ALL),
    "plan.create": (frozenset({TeamRole.ENGINEER}), frozenset({FleetRole.ADMIN})),
    "deployment.create": (frozenset({TeamRole.ENGINEER}), frozenset({FleetRole.ADMIN})),
    "deployment.prompt": (
        frozenset({TeamRole.ENGINEER, TeamRole.APPROVER}),
        frozenset({FleetRole.ADMIN}),
    ),
    # A log may hold prompts, so not for every role that looks; and asking a cluster leaves a row.
    "logs.view": (
        frozenset({TeamRole.ENGINEER, TeamRole.APPROVER}),
        frozenset({FleetRole.OPERATOR, FleetRole.ADMIN}),
    ),
    "deployment.delete": (frozenset({TeamRole.ENGINEER}), frozenset({FleetRole.ADMIN})),
    "rollout.control": (
        frozenset({TeamRole.ENGINEER}),
        frozenset({FleetRole.OPERATOR, FleetRole.ADMIN}),
    ),
    "approval.vote": (frozenset({TeamRole.APPROVER}), frozenset()),
    "secret.write": (frozenset({TeamRole.ENGINEER}), frozenset({FleetRole.ADMIN})),
    "cluster.register": (frozenset(), frozenset({FleetRole.OPERATOR, FleetRole.ADMIN})),
    "cluster.check": (frozenset(), frozenset({FleetRole.OPERATOR, FleetRole.ADMIN})),
    "cluster.cordon": (frozenset(), frozenset({FleetRole.OPERATOR, FleetRole.ADMIN})),
    "cluster.remove": (frozenset(), frozenset({FleetRole.OPERATOR, FleetRole.ADMIN})),
    "price.edit": (frozenset(), frozenset({FleetRole.OPERATOR, FleetRole.ADMIN})),
    "team.manage": (frozenset(), frozenset({FleetRole.ADMIN})),
}

# Token scope -> verbs it lets through. Without scopes a token carries all that its user may do.
SCOPES: dict[str, frozenset[str]] = {
    "read": frozenset({"view", "audit.view"}),
    "deploy": frozenset(
        {
            "view",
            "plan.create",
            "deployment.create",
            "deployment.delete",
            "deployment.prompt",
            "logs.view",
            "rollout.control",
            "secret.write",
        }
    ),
    "approve": frozenset({"view", "approval.vote"}),
    "operate": frozenset(
        {
            *("view", "price.edit", "logs.view"),
            *("cluster.register", "cluster.check", "cluster.cordon", "cluster.remove"),
        }
    ),
    "admin": frozenset(VERBS),
}
