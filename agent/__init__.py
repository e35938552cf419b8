# SPDX-License-Identifier: Apache-2.0
"""The host side: command line, link to devices over any serial port, daemon, MQTT."""
