# SPDX-License-Identifier: Apache-2.0
"""What a WASI call costs beside a bare protected procedure call, in the same system and the same run."""
