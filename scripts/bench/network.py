#!/usr/bin/env python3
"""The network without a VM, for scripts/bench/network.sh: namespaces as guests, whose cards are joined by a QEMU without
a machine either to the network's process of an executable, or to QEMU's own user network.

serve EXECUTABLE QEMU FOLDER  makes four guests of each kind, and a server for them on the loopback interface of a
                              namespace of its own, until it is ended; FOLDER/peer1 to peer4 and FOLDER/slirp1 to slirp4
                              have the process to enter, FOLDER/peer1.network and so on the processes of its network
                              (the peer first), FOLDER/port the port
connect|turns|names N PORT    what a guest does: N connections, N turns of one byte on one connection, N questions for a name
hold N PORT                   keeps N connections open, with nothing to say, and prints a line once they are
"""
import fcntl
import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

GATEWAY, RESOLVER = "10.0.2.2", "10.0.2.3"
PIECE = b"x" * (1 << 20)


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /N: N MiB. PUT: reads all. ECHO: sends back each byte."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        count = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(count << 20))
        self.end_headers()
        for _ in range(count):
            self.wfile.write(PIECE)

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_ECHO(self):
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while byte := self.rfile.read(1):
            self.wfile.write(byte)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def resolve():
    """A resolver that answers each question with one address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            query, client = server.recvfrom(512)
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("192.0.2.1")
            server.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + answer, client)


LARGEST = 65521


def card(name, guest, mtu):
    """A card of this name for QEMU, as eth0 of the namespace of process `guest`."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
    subprocess.run(["ip", "link", "set", name, "netns", str(guest), "name", "eth0"], check=True)
    lay_out = f"""ip link set lo up && ip link set eth0 mtu {mtu} address 52:54:00:12:34:56 up &&
        ip address add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2"""
    subprocess.run(["nsenter", "-t", str(guest), "-n", "sh", "-c", lay_out], check=True)
    return tap


def follow_router(guest):
    """Lets the card carry what its router advertises: the same as the driver of a VM finds on its card."""
    inside = ["nsenter", "-t", str(guest), "-n"]
    for _ in range(100):
        mtu = subprocess.check_output([*inside, "cat", "/proc/sys/net/ipv6/conf/eth0/mtu"]).decode().strip()
        if mtu != str(LARGEST):
            return subprocess.run([*inside, "ip", "link", "set", "eth0", "mtu", mtu], check=True)
        time.sleep(0.1)
    sys.exit("no router advertises itself")


def join(qemu, tap, other, *fds):
    """A QEMU that is a cable between the card and `other`."""
    hub = [word for port in "ab" for word in ("-netdev", f"hubport,id=h{port},hubid=0,netdev={port}")]
    ends = ["-netdev", f"tap,id=a,fd={tap}", "-netdev", other]
    quiet = ["-machine", "none", "-display", "none", "-monitor", "none", "-serial", "none"]
    return subprocess.Popen([qemu, "-nodefaults", *quiet, *ends, *hub], pass_fds=[tap, *fds], stderr=subprocess.DEVNULL)


def peer(executable, port):
    """The network's process, as the launcher starts it; the process, the other end of its cable, and what keeps it."""
    ours, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for side in (ours, end):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            side.setsockopt(socket.SOL_SOCKET, option, 256 << 10)
    control, theirs = socket.socketpair()
    show = socket.socket(socket.AF_UNIX)
    show.bind("")
    show.listen()
    sockets = dict(zip((3, 4, 5), (os.dup2(s.fileno(), 200 + i) for i, s in enumerate((end, theirs, show)))))

    def assign():
        for number, copy in sockets.items():
            os.dup2(copy, number)

    process = subprocess.Popen([executable, "net-peer"], close_fds=False, preexec_fn=assign)
    settings = {"net": "off", "allow": [f"host:{port}", "name.example"], "resolvers": {"servers": ["127.0.0.1"], "search": []}}
    control.sendall(json.dumps({"set": settings}).encode() + b"\n")
    return process, ours, (control, end)


def serve(executable, qemu, folder):
    with open(f"{folder}/resolv.conf", "w") as file:
        file.write("nameserver 127.0.0.1\n")
    subprocess.run(["sh", "-c", f"ip link set lo up && mount --bind {folder}/resolv.conf /etc/resolv.conf"], check=True)
    server = Server(("127.0.0.1", 0), Handler)
    port = server.server_port
    threading.Thread(target=resolve, daemon=True).start()
    names = [f"{kind}{number}" for number in range(1, 5) for kind in ("peer", "slirp")]
    guests = {name: subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) for name in names}
    time.sleep(1)  # until all have their namespace
    networks, kept = {}, []
    for name, guest in guests.items():
        if name.startswith("peer"):
            tap = card(name, guest.pid, LARGEST)
            process, end, others = peer(executable, port)
            kept += [end, *others]
            cable = f"dgram,id=b,local.type=fd,local.str={end.fileno()}"
            networks[name] = [process, join(qemu, tap, cable, end.fileno())]
            follow_router(guest.pid)
        else:
            networks[name] = [join(qemu, card(name, guest.pid, 1500), "user,id=b,ipv6=off")]
    for name, guest in guests.items():
        with open(f"{folder}/{name}.network", "w") as file:
            file.write("".join(f"{process.pid}\n" for process in networks[name]))
        with open(f"{folder}/{name}", "w") as file:
            file.write(f"{guest.pid}\n")
    with open(f"{folder}/port", "w") as file:
        file.write(f"{port}\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        server.serve_forever()
    finally:
        for process in [*guests.values(), *sum(networks.values(), [])]:
            process.kill()


def connect(count, port):
    for _ in range(count):
        with socket.create_connection((GATEWAY, port), 10) as stream:
            stream.sendall(b"GET /0 HTTP/1.1\r\nConnection: close\r\n\r\n")
            while stream.recv(4096):
                pass


def turns(count, port):
    with socket.create_connection((GATEWAY, port), 10) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(b"ECHO / HTTP/1.1\r\n\r\n")
        for _ in range(count):
            stream.sendall(b"x")
            if stream.recv(1) != b"x":
                sys.exit("another byte came back")


def hold(count, port):
    streams = [socket.create_connection((GATEWAY, port), 10) for _ in range(count)]
    print(len(streams), flush=True)
    signal.pause()


def names(count, _):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        for number in range(count):
            query = struct.pack(">H", number) + b"\1\0\0\1\0\0\0\0\0\0\4name\7example\0\0\1\0\1"
            client.sendto(query, (RESOLVER, 53))
            if client.recv(512)[:2] != query[:2]:
                sys.exit("another answer came back")


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    {"connect": connect, "turns": turns, "names": names, "hold": hold}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
