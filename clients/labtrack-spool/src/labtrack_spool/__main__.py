# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m labtrack_spool`."""

import sys

from labtrack_spool.cli import main

sys.exit(main())
