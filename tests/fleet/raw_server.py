"""A TLS server that answers exactly the bytes a test wants, for what no API server should do."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from clusters.gateway import Connection
from tests.engine.pki import Pair, make_ca, make_leaf

Script = Callable[[str], Iterable[bytes]]  # first line of the request -> pieces to send


def reply(
    body: bytes = b"{}", *, status: str = "200 OK", headers: Iterable[str] = (), length: bool = True
) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawServer:
    """Serves one script until it is closed. `heads` are the requests as they came."""

    def __init__(self, script: Script, context: ssl.SSLContext) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.stopped.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(20)
            with self._context.wrap_socket(client, server_side=True) as stream:
                self.connections += 1
                while head := self._read_head(stream):
                    self.heads.append(head)
                    pieces = self._script(head.split("\r\n", 1)[0])
                    for piece in pieces:
                        stream.sendall(piece)
                    if not isinstance(pieces, list):  # a generator ends the connection
                        return

    @staticmethod
    def _read_head(stream: ssl.SSLSocket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = stream.recv(65_536)
            if not piece:
                return ""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        lengths = [v for k, _, v in (ln.partition(":") for ln in text.lower().split("\r\n"))
                   if k == "content-length"]  # fmt: skip
        while lengths and len(body) < int(lengths[0]):
            body += stream.recv(65_536)
        return text


CA = make_ca()
SERVER = make_leaf(CA, "server", hosts=("127.0.0.1", "k8s.example.com"))
CLIENT = make_leaf(CA, "portal")


def server_context(pair: Pair = SERVER, *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_text(pair.cert_pem + pair.key_pem)
        context.load_cert_chain(path)
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=CA.cert_pem)
    return context


@contextlib.contextmanager
def raw_server(script: Script, context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    server = RawServer(script, context or server_context())
    try:
        yield server
    finally:
        server.close()


def connection_to(port: int, **changes: object) -> Connection:
    values: dict[str, object] = {
        "cluster_id": f"raw-{port}",
        "credential_version": 1,
        "server": f"https://127.0.0.1:{port}",
        "ca_pem": CA.cert_pem,
        "token": "s3cret-token",
        "allow_loopback": True,
    }
    return Connection(**(values | changes))  # type: ignore[arg-type]
