# SPDX-License-Identifier: Apache-2.0
"""The field side of the fleet: broker, virtual devices, twin gate."""
