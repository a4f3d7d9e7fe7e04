"""A small HTTP server on loopback whose connections can be cut, for tests of downloads."""

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback:
    """Serves `files` (path → bytes) and notes the `Range` header of each request (None without one)."""

    def __init__(self):
        self.files = {}
        self.ranges = True  # answers Range requests
        self.etag = '"1"'
        self.cut_after = []  # bytes after which the next connections are cut, one each
        self.statuses = []  # statuses of the next answers, one each, instead of the file
        self.chunked = False
        self.seen = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def url(self, path):
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def __enter__(self):
        self._proxies = os.environ.get("no_proxy")
        os.environ["no_proxy"] = "127.0.0.1"  # a proxy would answer for us
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self._proxies is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = self._proxies


def _handler(loopback):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            wanted = self.headers.get("Range")
            loopback.seen.append(wanted)
            self.close_connection = True
            if loopback.statuses:
                self.send_error(loopback.statuses.pop(0))
                return
            body = loopback.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            start = 0
            if wanted and loopback.ranges and self.headers.get("If-Range") in (None, loopback.etag):
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if loopback.etag:
                self.send_header("ETag", loopback.etag)
            self._send_body(body[start:])

        def _send_body(self, body):
            end = loopback.cut_after.pop(0) if loopback.cut_after else len(body)
            if loopback.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                part = body[:end]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                if end >= len(body):
                    self.wfile.write(b"0\r\n\r\n")
            else:
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:end])

        def log_message(self, *arguments):
            pass

    return Handler
