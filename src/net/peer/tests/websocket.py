"""A WebSocket (RFC 6455) of Python's own library alone, for software.rs: a server that sends each message back, and a
client that sends messages of all sizes while it reads, before and after a pause, and closes in order.

serve PORT          on 127.0.0.1
connect HOST PORT
"""
import base64
import hashlib
import os
import socket
import struct
import sys
import threading
import time

BINARY, CLOSE = 2, 8


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def write(stream, kind, payload, mask):
    length = len(payload)
    if length < 126:
        head = bytes([0x80 | kind, length | mask << 7])
    elif length < 1 << 16:
        head = struct.pack(">BBH", 0x80 | kind, 126 | mask << 7, length)
    else:
        head = struct.pack(">BBQ", 0x80 | kind, 127 | mask << 7, length)
    if mask:
        key = os.urandom(4)
        repeated = (key * (length // 4 + 1))[:length]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        payload, head = masked.to_bytes(length, "big"), head + key
    stream.sendall(head + payload)


def read(file):
    first, second = file.read(2)
    length = second & 127
    if length > 125:
        length = int.from_bytes(file.read(2 if length == 126 else 8), "big")
    key = file.read(4) if second & 128 else b""
    payload = file.read(length)
    if key:
        repeated = (key * (length // 4 + 1))[:length]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")
    return first & 15, payload


def answer(stream):
    file = stream.makefile("rb")
    headers = dict(line.split(b": ", 1) for line in iter(lambda: file.readline().strip(), b"") if b": " in line)
    if b"Sec-WebSocket-Key" not in headers:
        return
    reply = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    stream.sendall(reply + accept_of(headers[b"Sec-WebSocket-Key"]) + b"\r\n\r\n")
    kind = BINARY
    while kind != CLOSE:
        kind, payload = read(file)
        write(stream, kind, payload, 0)
    stream.shutdown(socket.SHUT_WR)


def serve(port):
    with socket.create_server(("127.0.0.1", int(port))) as server:
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],)).start()


def connect(host, port):
    stream = socket.create_connection((host, int(port)), 30)
    key = base64.b64encode(os.urandom(16))
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode()
    stream.sendall(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    file = stream.makefile("rb")
    head = list(iter(lambda: file.readline().strip(), b""))
    if b" 101 " not in head[0] or not any(line.endswith(accept_of(key)) for line in head):
        sys.exit("the server does not speak WebSocket")
    for _ in range(2):
        messages = [os.urandom(length) for length in (0, 1, 125, 126, 4000, 65535, 65536, 1000000)] * 3
        sender = threading.Thread(target=lambda: [write(stream, BINARY, message, 1) for message in messages])
        sender.start()
        for message in messages:
            if read(file) != (BINARY, message):
                sys.exit("another message came back")
        sender.join()
        time.sleep(2)
    write(stream, CLOSE, b"\x03\xe8", 1)
    if read(file)[0] != CLOSE or file.read() != b"":
        sys.exit("it was not closed in order")
    print("all came back")


{"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
