# SPDX-License-Identifier: Apache-2.0
"""One of several server processes; fleet.server starts them as `python -m fleet.worker DESCRIPTOR`."""

from __future__ import annotations

import argparse

from fleet.server import run_worker

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("descriptor", type=int, help="number of the inherited listening socket")
    parser.add_argument("--certificate", default="")
    parser.add_argument("--key", default="")
    arguments = parser.parse_args()
    run_worker(arguments.descriptor, arguments.certificate, arguments.key)
