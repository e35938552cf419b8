# SPDX-License-Identifier: Apache-2.0
"""`python -m agent` is `wasel`."""

from agent.cli import main

main()
