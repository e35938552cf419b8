# SPDX-License-Identifier: Apache-2.0
"""The link to a device: console frames, ports, SMP transport, messages of group 64, and a simulated device."""
