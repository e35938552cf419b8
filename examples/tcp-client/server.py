# SPDX-License-Identifier: Apache-2.0
"""A TCP server on 127.0.0.1 that answers a line in capitals, until it is killed: server.py PORT."""

import socketserver
import sys


class Shout(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Answer its first line."""
        self.wfile.write(self.rfile.readline(1024).upper())


if __name__ == "__main__":
    with socketserver.TCPServer(("127.0.0.1", int(sys.argv[1])), Shout) as server:
        server.serve_forever()
