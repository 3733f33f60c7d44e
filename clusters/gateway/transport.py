"""One HTTP exchange with an API server through the official client, without its surprises.

Left alone that client retries, follows redirects to any host, takes proxies from the environment,
waits for ever and reads answers of any size. Each of these is switched off here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from clusters.gateway.connection import BYTE_CAP, CONNECT_TIMEOUT, READ_TIMEOUT, Connection
from clusters.gateway.errors import Answer, Garbage, TlsFailed, Unreachable, clean

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_CHUNK = 1 << 16
_POOL_SIZE = 4


class Transport:
    """Requests to one API server. Safe to share between threads; not across a fork."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._client: ApiClient | None = None

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        deadline: float = READ_TIMEOUT,
        silence: float = READ_TIMEOUT,
    ) -> Answer:
        """One answer, whatever its status.

        `deadline`: seconds until its last byte; `silence`: seconds without any byte.

        Raises Unreachable, TlsFailed, Garbage (too large) or AddressRefused.
        """
        ends = time.monotonic() + deadline
        with self._errors():
            response = self._open(method, path, body, content_type, min(silence, deadline))
            try:
                data = _read_all(response, ends)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        return Answer(response.status, _lower(response), self._connection.redact(data))

    def stream(self, path: str, *, silence: float) -> tuple[Answer, Iterator[bytes]]:
        """An open GET: the head of the answer (body empty when 200) and its pieces as they come.

        `silence`: seconds without a byte after which the pieces end with Unreachable.
        """
        with self._errors():
            response = self._open("GET", path, None, "", silence)
            if response.status != 200:
                body = _read_all(response, time.monotonic() + READ_TIMEOUT)
                response.close()
                said = self._connection.redact(body)
                return Answer(response.status, _lower(response), said), iter(())
        return Answer(200, _lower(response), b""), self._pieces(response)

    def close(self) -> None:
        """Drop all idle connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.rest_client.pool_manager.clear()

    def _pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            with self._errors():
                while piece := response.read1(_CHUNK, decode_content=False):
                    yield piece
        finally:
            response.close()  # release_conn() would wait for the server to end the stream

    def _open(
        self, method: str, path: str, body: object, content_type: str, read_timeout: float
    ) -> urllib3.BaseHTTPResponse:
        client = self._api()
        headers = self._connection.headers()
        if body is not None:
            headers["Content-Type"] = content_type
        answer = client.call_api(
            method,
            client.configuration.host + path,
            headers,
            body=body,
            _request_timeout=(CONNECT_TIMEOUT, read_timeout),
        )
        response: urllib3.BaseHTTPResponse = answer.response
        return response

    def _api(self) -> ApiClient:
        with self._lock:
            if self._client is None:
                self._client = _make_client(self._connection)
            return self._client

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException

        try:
            yield
        except ApiException as error:  # the client's wrapping of an SSLError
            raise TlsFailed(f"TLS failed: {clean(str(error.reason))}") from error
        except SSLError as error:
            raise TlsFailed(f"TLS failed: {clean(str(error))}") from error
        except (HTTPError, OSError) as error:
            self.close()  # the next call resolves the name again
            raise Unreachable(f"No answer from the API server: {_why(error)}.") from error


def _why(error: BaseException) -> str:
    names = {
        "ConnectTimeoutError": "no connection in time",
        "ReadTimeoutError": "nothing came in time",
        "NewConnectionError": "the connection was refused or there is no route",
    }
    return names.get(type(error).__name__, "the connection broke")


def _read_all(response: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    """The whole body, at most BYTE_CAP bytes, before `ends` (monotonic)."""
    data = bytearray()
    while piece := response.read1(_CHUNK, decode_content=False):
        data += piece
        if len(data) > BYTE_CAP:
            raise Garbage(f"The API server's answer is larger than {BYTE_CAP >> 20} MiB.")
        if time.monotonic() > ends:
            raise Unreachable("The API server's answer did not end in time.")
    return bytes(data)


def _lower(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    return {key.lower(): value for key, value in response.headers.items()}


def _make_client(connection: Connection) -> ApiClient:
    """An official client with every setting made by hand; no kubeconfig is ever loaded."""
    from kubernetes.client import ApiClient, Configuration

    found = connection.resolve()
    configuration: Any = Configuration(
        host=found.url,
        retries=False,  # also: no redirects
        proxy="",  # None would read the environment
        no_proxy="*",
        tls_server_name=connection.tls_name,
        connection_pool_maxsize=_POOL_SIZE,
    )
    client = ApiClient(configuration)
    # One context for all connections: the client alone would load the CA anew for each.
    client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = connection.ssl_context()
    return client
