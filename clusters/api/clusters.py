"""`clusters/`: what is managed, its nodes, joining, and what an operator may do to one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.api.metrics import MetricsActions
from clusters.api.rows import ClusterDetail, ClusterRow, NodeRow, node_row
from clusters.engine.credential import CredentialError, parse_parts
from clusters.engine.kubeconfig import ClusterCredential, parse_kubeconfig
from clusters.models import Check, Cluster
from clusters.selectors.census import listed
from clusters.selectors.facts import nodes_of
from clusters.selectors.workloads import Names, workloads
from clusters.services import probing, registration
from clusters.states import CLUSTER
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.rest.bodies import Body
from fleetportal.rest.filters import Filter, refuse_unknown
from fleetportal.rest.preconditions import check_version

PARTS = ("server", "ca", "token", "client_cert", "client_key", "tls_server_name")


class NewCluster(Body):
    """`kubeconfig`, or `server`, `ca` and a credential, as text. `grants` absent: every team."""

    name = serializers.CharField(max_length=63)
    kubeconfig = serializers.CharField(required=False, write_only=True, trim_whitespace=False)
    context = serializers.CharField(  # type: ignore[assignment]
        required=False, help_text="Of the kubeconfig."
    )
    server = serializers.CharField(required=False)
    ca = serializers.CharField(required=False, help_text="PEM.")
    token = serializers.CharField(required=False, write_only=True)
    client_cert = serializers.CharField(required=False, write_only=True, help_text="PEM.")
    client_key = serializers.CharField(required=False, write_only=True, help_text="PEM.")
    tls_server_name = serializers.CharField(required=False)
    environment = serializers.CharField(required=False, default="", max_length=40, allow_blank=True)
    region = serializers.CharField(required=False, default="", max_length=60, allow_blank=True)
    provider = serializers.CharField(required=False, default="", max_length=20, allow_blank=True)
    labels = serializers.DictField(
        child=serializers.CharField(max_length=63, allow_blank=True), required=False, default=dict
    )
    grants = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True, default=None
    )


class Why(Body):
    reason = serializers.CharField(max_length=300, help_text="Read by the people it stops.")


class AskedCheck(serializers.ModelSerializer[Check]):
    """Ask `checks/{id}/` for the answer."""

    class Meta:
        model = Check
        fields = ("id", "kind", "state", "created_at")


class Registered(ClusterDetail):
    """The cluster, and the check that connects to it."""

    check = serializers.UUIDField(read_only=True)

    class Meta(ClusterDetail.Meta):
        fields = (*ClusterDetail.Meta.fields, "check")


@declares("view")
class Clusters(MetricsActions):
    """By name. `grants` null on reading `teams`: every team."""

    model = Cluster
    serializer_class = ClusterRow
    lookup_field = "name"
    verbs: ClassVar[dict[str, str]] = {
        "create": "cluster.register",
        "check": "cluster.check",
        "cordon": "cluster.cordon",
        "uncordon": "cluster.cordon",
        "metrics_change": "cluster.register",
        "destroy": "cluster.remove",
    }
    filters: ClassVar[dict[str, Filter]] = {
        "state": Filter("state__in", "choice", tuple(CLUSTER.states)),
        "environment": Filter("environment"),
        "region": Filter("region"),
        "provider": Filter("provider"),
        "cordoned": Filter("cordoned", "bool"),
        "name": Filter("name__icontains"),
    }
    orderings: ClassVar[dict[str, str]] = {
        "name": "name",
        "state": "state",
        "environment": "environment",
        "last_contact_at": "last_contact_at",
    }

    def rows(self) -> QuerySet[Cluster]:
        found = listed(self.principal).order_by("name")
        return found if self.action == "list" else found.prefetch_related("grants__team")

    @extend_schema(responses=ClusterDetail)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        refuse_unknown(request, [])
        return Response(self._detail(self.get_object()))

    @extend_schema(request=NewCluster, responses={201: Registered})
    def create(self, request: Request) -> Response:
        sent = NewCluster.sent(request)
        cluster, check = registration.cluster_register(
            principal=self.principal, registration=_registration(sent)
        )
        row = {**self._detail(cluster), "check": str(check.pk)}
        return Response(row, status=201, headers={"Location": f"{request.path}{cluster.name}/"})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, name: str) -> Response:
        """Stop managing it; 409 while deployments use it. Nothing on the cluster is touched."""
        cluster = self._version(request)
        registration.cluster_remove(principal=self.principal, cluster=cluster)
        return Response(status=204)

    @extend_schema(responses=NodeRow(many=True))
    @action(detail=True, methods=["get"], filter_backends=[])
    def nodes(self, request: Request, name: str) -> Response:
        """GPU nodes, as last seen."""
        refuse_unknown(request, ["page", "page_size"])
        cluster = self.get_object()
        names = Names(self.principal, workloads(self.principal, [cluster.pk]))
        page = self.paginate_queryset(nodes_of(cluster))
        return self.get_paginated_response([node_row(cluster, node, names) for node in page or ()])

    @extend_schema(request=None, responses={202: AskedCheck})
    @action(detail=True, methods=["post"])
    def check(self, request: Request, name: str) -> Response:
        """Have a worker connect and probe now."""
        found = probing.connection_check(principal=self.principal, cluster=self.get_object())
        return Response(AskedCheck(found).data, status=202)

    @extend_schema(request=Why, responses=ClusterDetail)
    @action(detail=True, methods=["post"])
    def cordon(self, request: Request, name: str) -> Response:
        """Keep new workloads off; what runs stays. Again: nothing changes."""
        sent = Why.sent(request)
        cluster = self._version(request)
        reason = sent["reason"]
        registration.cluster_cordon(principal=self.principal, cluster=cluster, reason=reason)
        return Response(self._detail(cluster))

    @extend_schema(request=None, responses=ClusterDetail)
    @action(detail=True, methods=["post"])
    def uncordon(self, request: Request, name: str) -> Response:
        cluster = self._version(request)
        registration.cluster_cordon(
            principal=self.principal, cluster=cluster, reason="", cordoned=False
        )
        return Response(self._detail(cluster))

    def _version(self, request: Request) -> Cluster:
        cluster: Cluster = self.get_object()
        check_version(request, cluster)
        return cluster

    def _detail(self, cluster: Cluster) -> dict[str, Any]:
        return dict(ClusterDetail(cluster, context={"principal": self.principal}).data)


def _registration(sent: dict[str, Any]) -> registration.Registration:
    """Raises Invalid for a credential that cannot be used."""
    grants = sent["grants"]
    return registration.Registration(
        name=sent["name"],
        credential=_credential(sent),
        environment=sent["environment"],
        region=sent["region"],
        provider=sent["provider"],
        labels=sent["labels"],
        grants=None if grants is None else tuple(grants),
    )


def _credential(sent: dict[str, Any]) -> ClusterCredential:
    parts = {name: sent.get(name, "") for name in PARTS}
    if "kubeconfig" in sent and any(parts.values()):
        raise Invalid(
            FieldProblem(
                "kubeconfig", "was sent beside other parts", "Send it, or server, ca and token."
            )
        )
    try:
        if "kubeconfig" in sent:
            return parse_kubeconfig(sent["kubeconfig"].encode(), context=sent.get("context"))
        return parse_parts(parts)
    except CredentialError as error:
        raise Invalid(
            [FieldProblem(one.field, one.message, one.remedy) for one in error.problems]
        ) from error
