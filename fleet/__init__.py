# SPDX-License-Identifier: Apache-2.0
"""The fleet server: devices, artifacts, desired states, rollouts, and who did what."""
