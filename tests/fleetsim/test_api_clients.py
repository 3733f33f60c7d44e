"""The unmodified clients work: the official one (typed, dynamic, raw watch) and kubectl."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleetsim.bodies import CONFIGMAPS, config_map, workspace
from tests.simfleet import SimCluster

kubernetes = pytest.importorskip("kubernetes")
client = pytest.importorskip("kubernetes.client")
dynamic = pytest.importorskip("kubernetes.dynamic")
exceptions = pytest.importorskip("kubernetes.client.exceptions")
watch = pytest.importorskip("kubernetes.watch")

kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@pytest.fixture
def api(cluster: SimCluster) -> Iterator[Any]:
    """An ApiClient with the CA given inline and the admin's token."""
    loader = kubernetes.config.kube_config.KubeConfigLoader(kubeconfig(cluster))
    configuration = client.Configuration()
    loader.load_and_set(configuration)
    with client.ApiClient(configuration) as found:
        yield found


def kubeconfig(cluster: SimCluster) -> dict[str, Any]:
    """A kubeconfig of one context, as a dict."""
    ca = base64.b64encode(cluster.ca_pem.encode()).decode()
    server = {"server": cluster.server, "certificate-authority-data": ca}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": {"token": cluster.admin_token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def test_the_typed_client_reads_the_version_and_lists_namespaces(api: Any) -> None:
    assert client.VersionApi(api).get_code().git_version.startswith("v1.")
    names = {item.metadata.name for item in client.CoreV1Api(api).list_namespace().items}
    assert "kube-system" in names


def test_the_typed_client_creates_pages_and_deletes(api: Any) -> None:
    core = client.CoreV1Api(api)
    for number in range(3):
        meta = client.V1ObjectMeta(name=f"c{number}")
        core.create_namespaced_config_map(
            "default", client.V1ConfigMap(metadata=meta, data={"a": "1"})
        )
    page = core.list_namespaced_config_map("default", limit=2)
    assert len(page.items) == 2
    rest = core.list_namespaced_config_map("default", limit=2, _continue=page.metadata._continue)
    assert [item.metadata.name for item in rest.items] == ["c2"]
    core.delete_namespaced_config_map("c0", "default")
    with pytest.raises(exceptions.ApiException) as caught:
        core.read_namespaced_config_map("c0", "default")
    assert caught.value.status == 404


def test_the_dynamic_client_discovers_and_applies(api: Any, tmp_path: Path) -> None:
    found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "cache.json"))
    resource = found.resources.get(api_version="kaito.sh/v1beta1", kind="Workspace")
    made = found.server_side_apply(resource, workspace(), field_manager="fleetportal")
    again = found.server_side_apply(resource, workspace(), field_manager="fleetportal")
    assert made.metadata.resourceVersion == again.metadata.resourceVersion
    with pytest.raises(exceptions.ApiException) as caught:
        found.server_side_apply(resource, workspace(instanceType="big"), field_manager="other")
    assert caught.value.status == 409


def test_the_custom_objects_api_sees_the_status_subresource(api: Any) -> None:
    objects = client.CustomObjectsApi(api)
    place = ("kaito.sh", "v1beta1", "default", "workspaces")
    objects.create_namespaced_custom_object(*place, workspace())
    body = {"status": {"state": "Ready"}}
    objects.patch_namespaced_custom_object_status(
        *place, "p", body, _content_type="application/merge-patch+json"
    )
    assert objects.get_namespaced_custom_object(*place, "p")["status"] == {"state": "Ready"}


def test_a_raw_watch_stream_carries_events(cluster: SimCluster, api: Any) -> None:
    core = client.CoreV1Api(api)
    since = core.list_namespaced_config_map("default").metadata.resource_version
    cluster.request("POST", CONFIGMAPS, config_map())
    stream = core.list_namespaced_config_map(
        "default",
        watch=True,
        resource_version=since,
        allow_watch_bookmarks=True,
        timeout_seconds=1,
        _preload_content=False,
        _request_timeout=(5, 10),
    )
    lines = b"".join(stream.stream()).splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["ADDED", "BOOKMARK"]
    stream.close()


def test_the_clients_own_watch_raises_410_for_a_too_old_version(
    cluster: SimCluster, api: Any
) -> None:
    core = client.CoreV1Api(api)
    events = watch.Watch().stream(
        core.list_namespaced_config_map, "default", resource_version="2", timeout_seconds=2
    )
    cluster.request("POST", CONFIGMAPS, config_map())
    with pytest.raises(exceptions.ApiException) as caught:
        list(events)
    assert caught.value.status == 410


def test_an_access_review_through_the_typed_client(api: Any) -> None:
    attributes = client.V1ResourceAttributes(verb="list", resource="nodes")
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    body = client.V1SelfSubjectAccessReview(spec=spec)
    answer = client.AuthorizationV1Api(api).create_self_subject_access_review(body)
    assert answer.status.allowed is True


def run(cluster: SimCluster, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """kubectl against the cluster."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        path.write_text(json.dumps(kubeconfig(cluster)))
        command = ["kubectl", "--kubeconfig", str(path), "--cache-dir", folder, *words]
        return subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=60, check=False
        )


@kubectl
def test_kubectl_applies_gets_and_deletes(cluster: SimCluster) -> None:
    body = json.dumps(workspace())
    done = run(cluster, "apply", "--server-side", "--validate=false", "-f", "-", given=body)
    assert done.returncode == 0, done.stderr
    shown = run(cluster, "get", "workspaces", "p", "-o", "json", "--show-managed-fields")
    assert json.loads(shown.stdout)["metadata"]["managedFields"][0]["manager"] == "kubectl"
    table = run(cluster, "get", "wk")
    assert table.stdout.split()[:2] == ["NAME", "INSTANCE"]
    assert "small" in table.stdout
    assert run(cluster, "delete", "workspace", "p").returncode == 0
    assert cluster.objects("Workspace") == []


@kubectl
def test_kubectl_client_side_apply_edits_and_scales(cluster: SimCluster) -> None:
    body = json.dumps(config_map())
    assert run(cluster, "apply", "--validate=false", "-f", "-", given=body).returncode == 0
    changed = json.dumps(config_map(data={"b": "2"}))
    assert run(cluster, "apply", "--validate=false", "-f", "-", given=changed).returncode == 0
    assert cluster.get(f"{CONFIGMAPS}/c")["data"] == {"b": "2"}


@kubectl
def test_kubectl_is_told_about_conflicts(cluster: SimCluster) -> None:
    first, second = json.dumps(workspace()), json.dumps(workspace(instanceType="big"))
    words = ("apply", "--server-side", "--validate=false", "-f", "-")
    run(cluster, *words, "--field-manager=one", given=first)
    done = run(cluster, *words, "--field-manager=two", given=second)
    assert done.returncode != 0
    assert 'conflict with "one"' in done.stderr


@kubectl
def test_kubectl_watches(cluster: SimCluster) -> None:
    cluster.request("POST", CONFIGMAPS, config_map())
    start = time.monotonic()
    done = run(cluster, "get", "configmaps", "-w", "--request-timeout=2s", "-o", "name")
    assert "configmap/c" in done.stdout
    assert time.monotonic() - start < 30
