# SPDX-License-Identifier: Apache-2.0
"""Project templates, one folder a language; `common` goes into all of them. Read by `agent.scaffold`."""
