#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# Records what real clients send, as inputs for a DW_FUZZ_PROTOCOL target: a relay on loopback
# between a client command and a server that is running already. Each connection of the client
# becomes one input: its bytes, with FF doubled, a cut (FF '|') where the client's bytes came in
# pieces, and the peer's close at the end (FF 'c'). A file is named after the SHA-1 of its content.
#
#   record_corpus.py --server 6390 --out fuzz/corpus/fuzz_kv_server -- redis-cli -p {port} PING
#
# Run by hand when a corpus is to be renewed; fuzz/README.md has the commands that were used.
"""Record a client's sessions with a server as fuzz inputs."""

import argparse
import hashlib
import pathlib
import select
import socket
import subprocess
import sys

HOST = "127.0.0.1"
PIECE_MAX = 65536  # DW_RECV_MAX
IDLE_S = 5.0  # a client that is quiet for so long is given up


def escaped(piece):
    """The bytes as an input has them."""
    return piece.replace(b"\xff", b"\xff\xff")


def forward(source, target, keep):
    """Moves what there is; returns False at the end of the stream."""
    try:
        piece = source.recv(PIECE_MAX)
    except ConnectionResetError:
        piece = b""
    if not piece:
        return False
    if keep is not None:
        keep.append(piece)
    target.sendall(piece)
    return True


def relay(listener, client_process, server_port, length_max):
    """Serves connections until the client ends; yields the pieces that each of them sent."""
    sessions = {}  # client socket -> (server socket, pieces)
    servers = {}  # server socket -> client socket
    finished = []
    while client_process.poll() is None or sessions:
        watched = [listener, *sessions, *servers]
        ready = select.select(watched, [], [], 0.1 if sessions or not finished else IDLE_S)[0]
        for sock in ready:
            if sock is listener:
                client = listener.accept()[0]
                server = socket.create_connection((HOST, server_port))
                sessions[client] = (server, [])
                servers[server] = client
                continue
            client = servers.get(sock, sock)
            if client not in sessions:
                continue
            server, pieces = sessions[client]
            from_client = sock is client
            keep = pieces if from_client and sum(map(len, pieces)) < length_max else None
            if not forward(sock, server if from_client else client, keep):
                finished.append(pieces)
                del sessions[client], servers[server]
                client.close()
                server.close()
    return finished


def main():
    """Parses the command line, runs the client, writes the inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", type=int, required=True, help="port of the running server")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the inputs")
    parser.add_argument("--length-max", type=int, default=2000, help="keep about so many bytes")
    parser.add_argument("--stdin", type=str, default="", help="text for the client's stdin")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- client, with {port}")
    options = parser.parse_args()
    command = [word for word in options.command if word != "--"]
    if not command:
        parser.error("no client command")
    with socket.create_server((HOST, 0), backlog=100) as listener:
        port = str(listener.getsockname()[1])
        with subprocess.Popen(
            [word.replace("{port}", port) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        ) as client:
            client.stdin.write(options.stdin.encode().decode("unicode_escape").encode("latin-1"))
            client.stdin.close()
            recorded = relay(listener, client, options.server, options.length_max)
    options.out.mkdir(parents=True, exist_ok=True)
    for pieces in recorded:
        if pieces:
            content = b"\xff|".join(map(escaped, pieces)) + b"\xffc"
            (options.out / hashlib.sha1(content).hexdigest()).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
