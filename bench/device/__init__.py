# SPDX-License-Identifier: Apache-2.0
"""What native code and the interpreter cost on a device, beside the same C compiled into the engine's domain."""
