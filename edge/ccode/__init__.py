# SPDX-License-Identifier: Apache-2.0
"""A network to C99."""
