"""The experiment over HTTP: one page, its pictures, and votes as JSON. The standard library's server is enough."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import unquote, urlsplit

from styletransfer.core.errors import OutputError, SettingsError
from styletransfer.study.experiment import Experiment, UnknownError

_MAX_BODY_BYTES = 4096
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


@contextmanager
def serving(
    experiment: Experiment, host: str = "127.0.0.1", port: int = 0, on_error: Callable[[str], None] = print
) -> Iterator[str]:
    """Serve ``experiment`` in threads of its own while the block runs; yields the address of the page.

    Args:
        experiment: what is served.
        host: name or number of the interface; the default is reached from this machine alone.
        port: 0 takes a free one.
        on_error: called with a line for the experimenter when a vote cannot be written or a picture is gone.

    Raises:
        SettingsError: the address cannot be opened.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        server = _server(family, (host, port), _handler(experiment, on_error))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"{host} port {port} cannot be opened ({reason}); choose others with --host and --port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    try:
        yield f"http://{f'[{name}]' if ':' in name else name}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(
    family: socket.AddressFamily, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]
) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = family

        def server_bind(self) -> None:
            socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the name service, which may take seconds

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A browser that went away mid-answer is no news."""

    return Server(address, handler)


def _handler(experiment: Experiment, on_error: Callable[[str], None]) -> type[BaseHTTPRequestHandler]:
    page = resources.files(__package__).joinpath("page.html").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # a kept connection would go on being served after the server was closed
        timeout = 60

        def do_GET(self) -> None:
            parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
            if parts == [""]:
                self._answer(200, page, "text/html; charset=utf-8")
            elif len(parts) == 4 and parts[0] == "picture":
                try:
                    self._answer(200, *experiment.picture(*parts[1:]))
                except UnknownError as error:
                    if "gone" in str(error):
                        on_error(str(error))
                    self._refuse(404, "no such picture")
            else:
                self._refuse(404, "no such page")

        def do_POST(self) -> None:
            routes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"/start": self._start, "/vote": self._vote}
            route = routes.get(urlsplit(self.path).path)
            try:
                asked = self._body()
                if route is None:
                    raise UnknownError("no such page")
                self._answer(200, json.dumps(route(asked)).encode(), "application/json")
            except UnknownError as error:
                self._refuse(404, str(error))
            except (SettingsError, ValueError, TypeError, KeyError) as error:
                self._refuse(400, str(error) if isinstance(error, SettingsError) else "not understood")
            except OutputError as error:
                on_error(str(error))
                self._refuse(507, "the vote could not be written; please tell the experimenter, then try again")

        def _start(self, asked: dict[str, Any]) -> dict[str, Any]:
            return experiment.start(_text(asked["observer"]))

        def _vote(self, asked: dict[str, Any]) -> dict[str, Any]:
            sides = {"left": True, "right": False}
            observer, session, trial = (_text(asked[name]) for name in ("observer", "session", "trial"))
            return experiment.vote(observer, session, trial, sides[_text(asked["selected"])])

        def _body(self) -> dict[str, Any]:
            # Another site's page can send a form to this machine, but JSON only with a leave that is not given.
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= _MAX_BODY_BYTES:
                raise ValueError("too long")
            body = self.rfile.read(length)
            if self.headers.get_content_type() != "application/json":
                raise ValueError("not JSON")
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise TypeError("not an object")
            return asked

        def _refuse(self, status: int, message: str) -> None:
            self._answer(status, json.dumps({"error": message}).encode(), "application/json")

        def _answer(self, status: int, body: bytes, media_type: str) -> None:
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Type": media_type, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the terminal is for what the experimenter must know."""

    return Handler


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
