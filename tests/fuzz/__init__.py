# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of the engine: libFuzzer targets, a generator of valid modules, and runs beside wasmtime."""
