from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.kubeconfig import CredentialError, parse_fields, parse_kubeconfig
from tests.engine.pki import make_ca, make_leaf

CA = make_ca()
CLIENT = make_leaf(CA, "portal")
Change = Callable[[dict[str, Any]], None]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "prod",
        "clusters": [
            {
                "name": "prod",
                "cluster": {
                    "server": "https://k8s.example.com:6443",
                    "certificate-authority-data": b64(CA.cert_pem),
                },
            }
        ],
        "users": [{"name": "portal", "user": {"token": "s3cret-token"}}],
        "contexts": [
            {"name": "prod", "context": {"cluster": "prod", "user": "portal", "namespace": "x"}}
        ],
    }


def dump(tree: object) -> bytes:
    return yaml.safe_dump(tree).encode()


def refusal(data: bytes, *, context: str | None = None) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        parse_kubeconfig(data, context=context)
    assert caught.value.problems
    assert "s3cret-token" not in str(caught.value)
    return caught.value


def test_a_token_kubeconfig_is_read() -> None:
    found = parse_kubeconfig(dump(config()))
    assert found.server == "https://k8s.example.com:6443"
    assert (found.kind, found.token, found.ca_pem) == ("token", "s3cret-token", CA.cert_pem)
    assert "s3cret-token" not in repr(found)


def test_a_client_certificate_kubeconfig_is_read() -> None:
    tree = config()
    tree["users"][0]["user"] = {
        "client-certificate-data": b64(CLIENT.cert_pem),
        "client-key-data": b64(CLIENT.key_pem),
    }
    found = parse_kubeconfig(dump(tree))
    assert found.kind == "client-cert"
    assert found.client_cert_pem == CLIENT.cert_pem
    assert found.client_key_pem == CLIENT.key_pem


def test_json_is_yaml_too() -> None:
    assert parse_kubeconfig(json.dumps(config()).encode()).token == "s3cret-token"


def test_the_only_context_is_taken_when_none_is_current() -> None:
    tree = config()
    del tree["current-context"]
    assert parse_kubeconfig(dump(tree)).token == "s3cret-token"


def test_another_context_may_be_what_it_likes() -> None:
    tree = config()
    tree["users"].append({"name": "me", "user": {"exec": {"command": "touch"}}})
    tree["contexts"].append({"name": "mine", "context": {"cluster": "prod", "user": "me"}})
    assert parse_kubeconfig(dump(tree), context="prod").token == "s3cret-token"
    assert "users[me].user.exec" in str(refusal(dump(tree), context="mine"))


def user(key: str, value: object) -> Change:
    return lambda tree: tree["users"][0]["user"].__setitem__(key, value)


def cluster(key: str, value: object) -> Change:
    return lambda tree: tree["clusters"][0]["cluster"].__setitem__(key, value)


def top(key: str, value: object) -> Change:
    return lambda tree: tree.__setitem__(key, value)


HOSTILE: list[tuple[Change, str]] = [
    (user("exec", {"command": "touch", "args": ["/tmp/owned"]}), "exec"),
    (user("exec", {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"}), "exec"),
    (user("auth-provider", {"name": "gcp", "config": {"cmd-path": "touch"}}), "auth-provider"),
    (user("auth-provider", {"name": "oidc"}), "auth-provider"),
    (user("tokenFile", "/etc/passwd"), "tokenFile"),
    (user("tokenfile", "/etc/passwd"), "tokenfile"),
    (user("client-certificate", "/etc/passwd"), "client-certificate"),
    (user("client-key", "/etc/shadow"), "client-key"),
    (user("username", "admin"), "username"),
    (user("password", "hunter2"), "password"),
    (user("as", "system:admin"), "as"),
    (user("as-uid", "0"), "as-uid"),
    (user("as-groups", ["system:masters"]), "as-groups"),
    (user("as-user-extra", {"a": ["b"]}), "as-user-extra"),
    (user("novel", "1"), "novel"),
    (user("token", "two words"), "token"),
    (user("token", "line\r\nHost: evil"), "token"),
    (user("token", "t\u00f6ken"), "token"),
    (user("token", "x" * 20_000), "token"),
    (user("token", ["a"]), "token"),
    (user("client-certificate-data", b64(CLIENT.cert_pem)), "client certificate"),
    (cluster("certificate-authority", "/etc/ssl/ca.pem"), "certificate-authority"),
    (cluster("proxy-url", "http://evil:3128"), "proxy-url"),
    (cluster("insecure-skip-tls-verify", True), "insecure-skip-tls-verify"),
    (cluster("insecure-skip-tls-verify", "true"), "insecure-skip-tls-verify"),
    (cluster("certificate-authority-data", "%%%"), "certificate-authority-data"),
    (cluster("certificate-authority-data", b64("hello")), "certificate-authority-data"),
    (cluster("certificate-authority-data", b64(CLIENT.key_pem)), "certificate-authority-data"),
    (
        cluster("certificate-authority-data", b64(CA.cert_pem.replace("M", "A", 3))),
        "certificate-authority-data",
    ),
    (cluster("certificate-authority-data", None), "certificate-authority-data"),
    (cluster("tls-server-name", "a b"), "tls-server-name"),
    (cluster("novel", {"deep": 1}), "novel"),
    (cluster("server", "http://k8s.example.com"), "server"),
    (cluster("server", "file:///etc/passwd"), "server"),
    (cluster("server", "https://user:pw@k8s"), "server"),
    (cluster("server", "https://k8s/?a=b"), "server"),
    (cluster("server", "https://k8s/#x"), "server"),
    (cluster("server", "https://k8s/../x"), "server"),
    (cluster("server", "https://k8s/%2e%2e/"), "server"),
    (cluster("server", "https://k8s:99999"), "server"),
    (cluster("server", "https://k8s:0"), "server"),
    (cluster("server", "https://"), "server"),
    (cluster("server", "https://[::1"), "server"),
    (cluster("server", "https://k8s\\@evil"), "server"),
    (cluster("server", "https://k\u0443be"), "server"),
    (cluster("server", "https://k8s\nevil"), "server"),
    (cluster("server", ""), "server"),
    (cluster("server", 1), "server"),
    (top("clusters", None), "clusters"),
    (top("clusters", {}), "clusters"),
    (top("users", []), "users"),
    (top("users", ["x"]), "users"),
    (top("contexts", []), "context"),
    (top("current-context", "gone"), "context"),
    (top("current-context", ["prod"]), "current-context"),
    (top("plugins", {"a": 1}), "plugins"),
    (lambda tree: tree["clusters"].append(config()["clusters"][0]), "more than once"),
    (lambda tree: tree["users"][0].__setitem__("user", "text"), "users[portal].user"),
    (lambda tree: tree["users"][0].__setitem__("users", {}), "users"),
]


@pytest.mark.parametrize(("change", "named"), HOSTILE)
def test_what_is_not_inline_and_plain_is_refused_by_name(change: Change, named: str) -> None:
    tree = config()
    change(tree)
    assert named in str(refusal(dump(tree)))


GOOD = dump(config()).decode()
BOMBS = [
    b"",
    b"text",
    b"[1, 2]",
    b"\xff\xfe\x00",
    b"a: \x00",
    b'a: "\\ud800"',
    b"a: [",
    b"\ta: 1",
    b"a: 1\na: 2",
    b"{a: 1, a: 2}",
    b"? {b: 1}\n: 2",
    b"a: &x 1",
    b"a: &x 1\nb: *x",
    b"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
    b"base: &b {x: 1}\na:\n  <<: *b",
    b"<<: {a: 1}",
    b"a: !!python/object/apply:os.system [id]",
    b"a: !!binary aGk=",
    b"a: !custom x",
    b"%TAG ! tag:evil,2000:\n---\na: !x 1",
    b"a: 1\n---\nb: 2",
    b"[" * 50_000,
    b"{a: " * 2_000,
    b"a: " + b"[" * 40 + b"]" * 40,
    b"- " * 40_000,
    b"a: [" + b"1, " * 6_000 + b"]",
    b"x" * 300_000,
    b'"' + b"\\" * 200_000,
    b"{" + b"? " * 30_000,
    b"a: 9" * 50_000,
]


@pytest.mark.parametrize("data", BOMBS)
def test_yaml_bombs_are_refused_quickly(data: bytes) -> None:
    before = time.process_time()
    refusal(data)
    assert time.process_time() - before < 0.5


def test_odd_scalars_stay_text() -> None:
    tree = GOOD.replace("s3cret-token", "0x1f")
    assert parse_kubeconfig(tree.encode()).token == "0x1f"
    tree = GOOD.replace("s3cret-token", "9" * 5_000)
    assert parse_kubeconfig(tree.encode()).token == "9" * 5_000


@given(st.binary(max_size=400))
def test_only_our_error_escapes_for_any_bytes(data: bytes) -> None:
    with pytest.raises(CredentialError):
        parse_kubeconfig(data)


@given(st.integers(0, len(GOOD)), st.integers(0, 8), st.text(max_size=12))
def test_only_our_error_escapes_for_damaged_files(start: int, length: int, patch: str) -> None:
    damaged = GOOD[:start] + patch + GOOD[start + length :]
    try:
        found = parse_kubeconfig(damaged.encode("utf-8", "surrogatepass"))
    except CredentialError as error:
        assert error.problems
    else:
        assert found.server.startswith("https://")


@given(st.text(), st.text(), st.text(), st.text(), st.text(), st.text())
def test_only_our_error_escapes_from_a_form(
    server: str, ca: str, token: str, cert: str, key: str, name: str
) -> None:
    with pytest.raises(CredentialError):
        parse_fields(
            server, ca, token, client_cert_pem=cert, client_key_pem=key, tls_server_name=name
        )


@pytest.mark.parametrize(
    ("given_server", "stored"),
    [
        ("https://k8s", "https://k8s"),
        ("HTTPS://K8S.Example.com:443/", "https://k8s.example.com:443"),
        ("https://[2001:db8::1]:6443", "https://[2001:db8::1]:6443"),
        ("https://10.0.0.1/clusters/a.b", "https://10.0.0.1/clusters/a.b"),
    ],
)
def test_addresses_are_stored_in_one_form(given_server: str, stored: str) -> None:
    assert parse_fields(given_server, CA.cert_pem, " token\n").server == stored


def test_a_form_names_every_field_that_is_wrong() -> None:
    with pytest.raises(CredentialError) as caught:
        parse_fields("http://k8s", "", "", tls_server_name="a b")
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["server", "ca", "tls_server_name", "token"]


def test_an_encrypted_key_and_two_credentials_are_refused() -> None:
    encrypted = CLIENT.key_pem.replace("PRIVATE", "ENCRYPTED PRIVATE")
    with pytest.raises(CredentialError, match="encrypted"):
        parse_fields(
            "https://k", CA.cert_pem, client_cert_pem=CLIENT.cert_pem, client_key_pem=encrypted
        )
    with pytest.raises(CredentialError, match="Keep one"):
        parse_fields(
            "https://k",
            CA.cert_pem,
            "token",
            client_cert_pem=CLIENT.cert_pem,
            client_key_pem=CLIENT.key_pem,
        )


WATCHED = """
import base64, encodings.utf_8_sig, sys, yaml
from clusters.engine.kubeconfig import CredentialError, parse_kubeconfig
data = [base64.b64decode(line) for line in sys.stdin.read().split()]
seen = []
watched = ("open", "subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork", "socket.")
sys.addaudithook(lambda name, _: seen.append(name) if name.startswith(watched) else None)
for item in data:
    try:
        parse_kubeconfig(item)
    except CredentialError:
        pass
print(len(data), seen)
"""


def test_no_input_opens_a_file_a_socket_or_a_process() -> None:
    lines = [base64.b64encode(bomb).decode() for bomb in BOMBS if bomb]
    for change, _ in HOSTILE:
        tree = config()
        change(tree)
        lines.append(base64.b64encode(dump(tree)).decode())
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.strip() == f"{len(lines)} []"
