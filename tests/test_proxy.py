"""nginx with the site of deploy/, in front of a server that notes what reaches it."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.product import TIMEOUT, free_port, wait_until
from tests.test_deploy import DEPLOY, SITE, TEMPORARY, make_certificate, tool

[OPTIONS, _] = re.findall(r"server \S+ (.*);", (DEPLOY / "nginx" / "upstream.conf").read_text())


class Noting(BaseHTTPRequestHandler):
    begun: list[str] = []
    arrived: list[dict[str, str]] = []

    def do_POST(self) -> None:  # noqa: N802  # the library's name
        self.begun.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.arrived.append(dict(self.headers) | {"body": body.decode()})
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Yield the ports of nginx, with TLS and without."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        with proxied(tmp_path_factory.mktemp("nginx"), [upstream.server_port]) as ports:
            yield ports
        upstream.shutdown()


@contextmanager
def proxied(place: Path, upstreams: list[int]) -> Iterator[tuple[int, int]]:
    """Start nginx with the site of deploy/ before these ports; yield its own ports, with TLS and without."""
    nginx = tool("nginx")
    make_certificate(tool("openssl"), place)
    secure, plain = free_port(), free_port()
    site = re.sub(r" *listen \[::\].*\n", "", SITE).replace("/etc/nginx/tls", str(place))
    site = site.replace("listen 443", f"listen 127.0.0.1:{secure}").replace("listen 80", f"listen 127.0.0.1:{plain}")
    servers = " ".join(f"server 127.0.0.1:{port} {OPTIONS};" for port in upstreams)
    (place / "site.conf").write_text(f"upstream partner_of_record {{ {servers} }}\n{site}")
    places = "".join(f"{kind}_temp_path {place}/{kind};" for kind in TEMPORARY)
    main = f"pid {place}/pid; daemon off; master_process off; events {{}} http {{ {places} include site.conf; }}"
    (place / "nginx.conf").write_text(main)
    command = [nginx, "-e", "stderr", "-p", place, "-c", place / "nginx.conf"]
    with (place / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until(lambda: answers(plain))
            yield secure, plain
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the certificate is made up
    return context


def post(port: int, path: str, body: bytes) -> int:
    with closing(http.client.HTTPSConnection("127.0.0.1", port, context=trusting())) as client:
        client.request("POST", path, body)
        with client.getresponse() as answer:
            return answer.status


def test_body_goes_on_when_it_is_whole_with_the_address_of_its_caller(ports: tuple[int, int]) -> None:
    Noting.begun.clear()
    Noting.arrived.clear()
    head = b"POST /x HTTP/1.1\r\nHost: por.example:8443\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\n"
    with (
        closing(socket.create_connection(("127.0.0.1", ports[0]))) as bare,
        trusting().wrap_socket(bare) as client,
    ):
        client.sendall(head + b"Content-Length: 4\r\n\r\nab")
        # Another request, begun later, is there first.
        assert post(ports[0], "/other", b"whole") == 204
        assert Noting.begun == ["/other"]
        client.sendall(b"cd")
        assert client.recv(1000).startswith(b"HTTP/1.1 204")

    slow = Noting.arrived[1]
    assert slow["body"] == "abcd"
    assert slow["Host"] == "por.example:8443"
    assert slow["X-Forwarded-For"] == "9.9.9.9, 127.0.0.1", "TRUSTED_PROXIES=1 believes the last"
    assert slow["X-Forwarded-Proto"] == "https"


def test_only_uploads_may_be_large_and_everything_comes_by_https(ports: tuple[int, int]) -> None:
    Noting.begun.clear()
    Noting.arrived.clear()
    assert post(ports[0], "/login", b"x" * 5_000_000) == 413
    assert post(ports[0], "/a/loads/", b"x" * 5_000_000) == 204
    assert len(Noting.arrived) == 1
    with closing(http.client.HTTPConnection("127.0.0.1", ports[1])) as client:
        client.request("GET", "/login?next=/a/", headers={"Host": "por.example"})
        with client.getresponse() as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "https://por.example/login?next=/a/")
