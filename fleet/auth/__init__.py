# SPDX-License-Identifier: Apache-2.0
"""Who is it, and may they: accounts, passwords, browser sessions, CSRF, rate limits, security headers.

`guard` is the gate in front of every route; the rest are functions on the database that know no HTTP.
"""
