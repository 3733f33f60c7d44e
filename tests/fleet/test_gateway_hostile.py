"""What a broken or hostile API server may try; the same rules for workers and the collector."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusters.engine.health import Contact
from clusters.gateway import Connection, Gateway, client, decoding, stream
from clusters.gateway.errors import (
    AdmissionDenied,
    AdmissionUndecided,
    Answer,
    ClusterFailure,
    Conflict,
    Forbidden,
    Garbage,
    Gone,
    Invalid,
    NotFound,
    Outdated,
    ServerFault,
    TlsFailed,
    TooMany,
    Unauthorized,
    Unreachable,
    contact_of,
    error_from,
    reason_of,
)
from clusters.gateway.kinds import NAMESPACE, NODE
from clusters.gateway.stream import StreamClient
from clusters.gateway.typed import NODES
from fleetportal.kit.errors import Permanent, PortalError, Temporary
from fleetportal.kit.net import AddressRefused
from tests.engine.pki import Pair, make_ca, make_leaf
from tests.fleet.raw_server import (
    CA,
    CLIENT,
    Script,
    connection_to,
    raw_server,
    reply,
    server_context,
)

Reader = Callable[[Connection], None]
EMPTY_LIST = b'{"items": [], "metadata": {"resourceVersion": "1"}}'


def by_worker(connection: Connection) -> None:
    Gateway(connection).list_raw(NODE)


def by_collector(connection: Connection) -> None:
    async def read() -> None:
        client = StreamClient(connection)
        try:
            await client.list_objects(NODE, NODES)
        finally:
            client.close()

    asyncio.run(read())


READERS = pytest.mark.parametrize("read", [by_worker, by_collector])


def refused(read: Reader, script: Script, expected: type[Exception]) -> Exception:
    with raw_server(script) as server, pytest.raises(expected) as caught:
        read(connection_to(server.port))
    assert "s3cret-token" not in str(caught.value)
    return caught.value


@READERS
@pytest.mark.parametrize("code", ["301 Moved", "302 Found", "303 See", "307 Temp", "308 Perm"])
def test_redirects_are_never_followed(read: Reader, code: str) -> None:
    with raw_server(lambda _: [reply(EMPTY_LIST)]) as target:
        location = f"Location: https://127.0.0.1:{target.port}/stolen"
        refused(read, lambda _: [reply(status=code, headers=[location])], Garbage)
    assert target.connections == 0


@READERS
def test_one_call_is_one_attempt(read: Reader) -> None:
    def hang_up(_: str) -> Iterator[bytes]:
        return iter(())

    with raw_server(hang_up) as server, pytest.raises(Unreachable):
        read(connection_to(server.port))
    assert len(server.heads) == 1


@READERS
@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 5_000, b"\xff"]
)
def test_what_is_no_object_is_garbage(read: Reader, body: bytes) -> None:
    refused(read, lambda _: [reply(body)], Garbage)


@READERS
def test_an_answer_without_end_is_cut_at_the_cap(read: Reader) -> None:
    def flood(_: str) -> Iterator[bytes]:
        yield reply(b"", length=False)
        for _megabyte in range(40):
            yield b" " * (1 << 20)

    refused(read, flood, Garbage)


@READERS
def test_a_server_that_speaks_something_else_is_an_error_of_ours(read: Reader) -> None:
    refused(read, lambda _: iter([b"SSH-2.0-OpenSSH\r\n\r\n"]), Temporary)
    refused(read, lambda _: iter([b"\x00" * 100_000]), Temporary)


@READERS
@pytest.mark.parametrize(
    "pair",
    [
        make_leaf(make_ca("other"), "server", hosts=("127.0.0.1",)),
        make_leaf(CA, "server", hosts=("elsewhere.example",)),
        make_leaf(CA, "server", hosts=("127.0.0.1",), days=-1),
    ],
    ids=["wrong CA", "wrong name", "expired"],
)
def test_tls_fails_closed(read: Reader, pair: Pair) -> None:
    with (
        raw_server(lambda _: [reply(EMPTY_LIST)], server_context(pair)) as server,
        pytest.raises(TlsFailed) as caught,
    ):
        read(connection_to(server.port))
    assert isinstance(caught.value, Permanent)
    assert caught.value.__cause__ is not None
    assert server.heads == []


@READERS
def test_the_certificate_may_carry_another_name_if_it_was_registered(read: Reader) -> None:
    pair = make_leaf(CA, "server", hosts=("api.internal",))
    with raw_server(lambda _: [reply(EMPTY_LIST)], server_context(pair)) as server:
        read(connection_to(server.port, tls_server_name="api.internal"))
    assert len(server.heads) == 1


@READERS
def test_a_client_certificate_is_shown_and_leaves_no_file(read: Reader) -> None:
    before = _open_files()
    with raw_server(lambda _: [reply(EMPTY_LIST)], server_context(wants_client=True)) as server:
        read(
            connection_to(
                server.port,
                token="",
                client_cert_pem=CLIENT.cert_pem,
                client_key_pem=CLIENT.key_pem,
            )
        )
        assert "authorization" not in server.heads[0].lower()
    assert not [name for name in _open_files() - before if "memfd" in name]


@READERS
def test_a_key_that_does_not_fit_is_a_tls_error(read: Reader) -> None:
    other = make_leaf(CA, "other")
    connection = connection_to(
        1, token="", client_cert_pem=CLIENT.cert_pem, client_key_pem=other.key_pem
    )
    with pytest.raises((TlsFailed, Unreachable)):
        read(connection)


@READERS
def test_this_machine_is_refused_unless_allowed(read: Reader) -> None:
    with raw_server(lambda _: [reply(EMPTY_LIST)]) as server, pytest.raises(AddressRefused):
        read(connection_to(server.port, allow_loopback=False))
    assert server.connections == 0


@READERS
def test_proxies_of_the_environment_are_not_used(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with raw_server(lambda _: [reply(EMPTY_LIST)]) as server:
        read(connection_to(server.port))
    assert len(server.heads) == 1


@READERS
def test_a_closed_port_is_unreachable(read: Reader) -> None:
    with pytest.raises(Unreachable):
        read(connection_to(1))


@READERS
def test_the_request_carries_the_token_and_no_more_than_it_must(read: Reader) -> None:
    with raw_server(lambda _: [reply(EMPTY_LIST)]) as server:
        read(connection_to(server.port))
    names = {line.partition(":")[0].lower() for line in server.heads[0].split("\r\n")[1:]}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "authorization"}
    assert f"Host: 127.0.0.1:{server.port}" in server.heads[0]


def test_a_silent_server_costs_the_deadline_and_no_more() -> None:
    def silent(_: str) -> Iterator[bytes]:
        yield b""
        time.sleep(3)

    with raw_server(silent) as server:
        gateway = Gateway(connection_to(server.port))
        before = time.monotonic()
        with pytest.raises(Unreachable):
            gateway.read("/version", deadline=0.3)
        assert time.monotonic() - before < 1.5


def test_a_dripping_server_costs_the_deadline_and_no_more() -> None:
    def drip(_: str) -> Iterator[bytes]:
        yield reply(b"", length=False)
        for _piece in range(100):
            time.sleep(0.05)
            yield b" "

    with raw_server(drip) as server:
        before = time.monotonic()
        with pytest.raises(Unreachable):
            Gateway(connection_to(server.port)).read("/version", deadline=0.4)
        assert time.monotonic() - before < 1.5
        with pytest.raises(Unreachable):
            asyncio.run(StreamClient(connection_to(server.port)).get_raw("/version", deadline=0.4))
        assert time.monotonic() - before < 3


def status(code: int, reason: str = "", message: str = "no", details: object = None) -> bytes:
    return json.dumps(
        {
            "kind": "Status",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details or {},
        }
    ).encode()


def test_why_a_cluster_is_not_well_is_a_sentence() -> None:
    refused, busy = (error_from(Answer(code, {}, b"")) for code in (401, 429))
    assert "does not accept the portal's credential" in reason_of(refused)
    assert "turns the portal's requests away" in reason_of(busy)
    assert reason_of(Unreachable("No answer.")) == "No answer."


OWNED = {
    "causes": [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit" using kaito.sh/v1beta1',
            "field": ".spec.replicas",
        }
    ]
}
DENIED = 'admission webhook "validation.workspace.kaito.sh" denied the request: validation failed: '


@READERS
@pytest.mark.parametrize(
    ("line", "body", "expected"),
    [
        ("401 Unauthorized", status(401), Unauthorized),
        ("403 Forbidden", status(403), Forbidden),
        ("404 Not Found", b"404 page not found", NotFound),
        ("409 Conflict", status(409, "Conflict", details=OWNED), Conflict),
        ("409 Conflict", status(409, "Conflict", "the object has been modified"), Outdated),
        ("409 Conflict", status(409, "AlreadyExists"), Conflict),
        ("409 Conflict", status(409, "Conflict", "Precondition failed: UID"), Conflict),
        ("410 Gone", status(410), Gone),
        ("415 Unsupported", status(415), Invalid),
        ("422 Unprocessable", status(422, "Invalid"), Invalid),
        ("400 Bad", status(400, "BadRequest", DENIED + "preset is gone"), AdmissionDenied),
        (
            "400 Bad",
            status(400, "BadRequest", DENIED + "ConfigMap 'a' specified in 'config' not found"),
            AdmissionUndecided,
        ),
        ("500 Error", status(500, "", "failed calling webhook: timeout"), AdmissionUndecided),
        ("500 Error", status(500, "", ".spec.x: field not declared in schema"), Invalid),
        ("500 Error", b"<html>", ServerFault),
        ("503 Busy", status(503), ServerFault),
        ("429 Many", status(429), TooMany),
    ],
)
def test_every_answer_has_its_own_error(
    read: Reader, line: str, body: bytes, expected: type[ClusterFailure]
) -> None:
    error = refused(read, lambda _: [reply(body, status=line)], expected)
    assert type(error) is expected
    assert isinstance(error, Temporary | Permanent)


def test_a_conflict_names_the_owner_and_the_field() -> None:
    body = status(409, "Conflict", details=OWNED)
    error = refused(by_worker, lambda _: [reply(body, status="409 Conflict")], Conflict)
    assert isinstance(error, Conflict)
    assert error.owners == (("kubectl-edit", ".spec.replicas"),)


@pytest.mark.parametrize(("sent", "delay"), [("7", 7.0), ("99999", 300.0), ("soon", 1.0)])
def test_retry_after_is_honoured_within_reason(sent: str, delay: float) -> None:
    answer = reply(status(429), status="429 Many", headers=[f"Retry-After: {sent}"])
    error = refused(by_worker, lambda _: [answer], TooMany)
    assert isinstance(error, TooMany)
    assert error.delay == delay


def test_an_answer_of_the_model_is_told_from_one_of_the_api_server() -> None:
    answers = {
        "/v1/models": reply(b'{"error": "no such model"}', status="404 Not Found"),
        "/metrics": reply(status(503, message="no endpoints available"), status="503 Busy"),
        "/v1/chat/completions": reply(b'{"ok": true}'),
    }

    def script(line: str) -> list[bytes]:
        return [answers[line.split()[1].partition("/proxy")[2]]]

    with raw_server(script) as server:
        gateway = Gateway(connection_to(server.port))
        missing = gateway.service_proxy("team", "chat", 80, "GET", "/v1/models")
        assert (missing.status, missing.content_type) == (404, "application/json")
        with pytest.raises(ServerFault, match="no endpoints"):
            gateway.service_proxy("team", "chat", "http", "GET", "/metrics")
        body = {"model": "chat", "messages": []}
        done = gateway.service_proxy("team", "chat", 80, "POST", "/v1/chat/completions", body)
        assert done.body == b'{"ok": true}'
    place = "/api/v1/namespaces/team/services/chat:80/proxy/v1/chat/completions"
    assert server.heads[-1].startswith(f"POST {place} HTTP/1.1")


def test_logs_are_text_and_bounded() -> None:
    with raw_server(lambda _: [reply(b"one\n\xfftwo\n")]) as server:
        found = Gateway(connection_to(server.port)).pod_logs("team", "chat-0", tail_lines=5)
    assert found == ("one\n\ufffdtwo\n", False)
    assert "tailLines=5&limitBytes=1048576" in server.heads[0]


def test_of_a_log_with_long_lines_the_newest_are_read() -> None:
    log = [b"%04d " % number + b"x" * 9_000 + b"\n" for number in range(1_000)]

    def kubelet(line: str) -> list[bytes]:
        lines = int(line.partition("tailLines=")[2].partition("&")[0])
        return [reply(b"".join(log[-lines:])[: 1 << 20])]

    with raw_server(kubelet) as server:
        text, fewer = Gateway(connection_to(server.port)).pod_logs("ns", "pod", tail_lines=1_000)
    assert text.rpartition("\n0999 ")[1] and text.endswith("x\n")
    assert fewer
    assert len(server.heads) == 3


def test_a_log_that_ignores_every_limit_is_cut_from_its_end() -> None:
    with raw_server(lambda _: [reply(b"old" + b"x" * (1 << 20) + b"new\n")]) as server:
        text, _ = Gateway(connection_to(server.port)).pod_logs("ns", "pod")
    assert len(text) == 1 << 20
    assert text.endswith("new\n")


@pytest.mark.parametrize("page", [b"", b'{"metadata": {"name": "a"}}'])
@READERS
def test_a_list_without_an_end_is_garbage(
    read: Reader, page: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (client, stream):
        monkeypatch.setattr(module, "MOST_PAGES", 5)
    body = b'{"items": [%s], "metadata": {"resourceVersion": "1", "continue": "more"}}' % page
    refused(read, lambda _: [reply(body)], Garbage)


def test_a_list_of_more_than_any_cluster_holds_is_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_OBJECTS", 3)
    body = b'{"items": [{}, {}, {}, {}], "metadata": {"resourceVersion": "1", "continue": "more"}}'
    refused(by_worker, lambda _: [reply(body)], Garbage)


def test_texts_of_a_cluster_are_cleaned_and_cut() -> None:
    body = status(403, "", "\x1b[31mred\n" + "x" * 5_000)
    error = refused(by_worker, lambda _: [reply(body, status="403 No")], Forbidden)
    assert str(error).isprintable()
    assert len(str(error)) <= 600


@pytest.mark.parametrize("name", ["../x", "a/b", "a%2f", "A", "", "x" * 300, "a?b", "a\n"])
def test_only_names_that_kubernetes_allows_reach_a_path(name: str) -> None:
    gateway = Gateway(connection_to(1))
    with pytest.raises(Invalid):
        gateway.service_proxy("ns", name, 80, "GET", "/metrics")
    if name:
        with pytest.raises(Invalid):
            gateway.get(NAMESPACE, "", name)


@pytest.mark.parametrize("path", ["", "metrics", "/..", "/a/../b", "//x", "/a?b", "/%2e"])
def test_only_plain_paths_go_through_the_service_proxy(path: str) -> None:
    with pytest.raises(Invalid):
        Gateway(connection_to(1)).service_proxy("ns", "svc", 80, "GET", path)


@pytest.mark.parametrize("metadata", [{}, {"name": "a"}, {"namespace": "b"}, {"name": 1}, None])
def test_an_object_without_name_and_namespace_is_refused(metadata: object) -> None:
    lost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    with pytest.raises(Invalid):
        Gateway(connection_to(1)).apply(lost)


@pytest.mark.parametrize(
    ("error", "contact"),
    [
        (Unreachable(""), Contact.UNREACHABLE),
        (TlsFailed(""), Contact.REFUSED),
        (Unauthorized(""), Contact.REFUSED),
        (AddressRefused(""), Contact.REFUSED),
        (Forbidden(""), Contact.PARTIAL),
        (ServerFault(""), Contact.PARTIAL),
        (Garbage(""), Contact.PARTIAL),
    ],
)
def test_a_failed_call_says_something_about_the_cluster(
    error: PortalError, contact: Contact
) -> None:
    assert contact_of(error) is contact


def test_an_object_of_a_kind_that_is_never_written_is_refused() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {}}
    with pytest.raises(Invalid):
        Gateway(connection_to(1)).apply(role)


def _open_files() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
            found.add(str(entry.readlink()))
    return found
