#!/usr/bin/env python3
"""A web server on the loopback interface that fails as real ones do.

Usage: tests/build/server.py FOLDER    prints its port, serves FOLDER, logs each request to FOLDER/requests

/NAME            the file, by ranges if asked
/cut/NAME        ends each answer after 100 kB
/stall/NAME      stops in the middle of the first answer, without ending it
/whole/NAME      knows no ranges
/missing/NAME    404, as for every other name that is not there
/refuse/NAME     403
/redirect/NAME   leads to /NAME
/loop/NAME       leads to itself
/silent/NAME     takes the connection and never answers
"""

import http.server
import re
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        with (folder / "requests").open("a") as log:
            print(self.path, asked or "", file=log)
        *way, name = self.path.strip("/").split("/")
        way = way[0] if way else ""
        if way == "refuse":
            return self.send_error(403)
        if way == "missing" or not (folder / name).is_file():
            return self.send_error(404)
        if way in ("redirect", "loop"):
            self.send_response(302)
            self.send_header("Location", f"/{name}" if way == "redirect" else self.path)
            return self.end_headers()
        if way == "silent":
            return time.sleep(60)
        data = (folder / name).read_bytes()
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and way != "whole" else 0
        if start >= len(data):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        stalls = way == "stall" and not start
        self.wfile.write(data[start : start + 100_000] if stalls or way == "cut" else data[start:])
        self.wfile.flush()
        if stalls:
            time.sleep(60)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
