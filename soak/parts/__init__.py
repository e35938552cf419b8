# SPDX-License-Identifier: Apache-2.0
"""The parts, one a file: see soak/__init__.py."""
