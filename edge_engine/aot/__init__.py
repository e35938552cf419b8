# SPDX-License-Identifier: Apache-2.0
"""Native code: WebAssembly to C, C to position-independent machine code, kept in a custom section of the module.

``reader`` decodes a module that the engine has validated, ``generate`` writes C, ``compiler`` runs the C compiler and
makes the section, ``section`` knows its format (docs/native.md), ``commands`` is ``wasel compile``.
"""
