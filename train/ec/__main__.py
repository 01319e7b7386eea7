# SPDX-License-Identifier: Apache-2.0
"""``torchrun --nproc-per-node N -m ormia.train.ec RECIPE ...``: the command ``ormia search ec`` on several processes."""

import sys

from ...edge.cli import main

if __name__ == "__main__":
    main(["search", "ec", *sys.argv[1:]])
