# SPDX-License-Identifier: Apache-2.0
"""The commands of `wasel`, one file per group. They parse, call, print; the work is in the other modules."""
