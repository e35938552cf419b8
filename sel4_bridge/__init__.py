# SPDX-License-Identifier: Apache-2.0
"""The device side: protection domains, the table of WASI calls, the system description, builders."""
