"""The command line: parse, call, print, and map errors to exit codes.

Exit codes: 0 done, 1 the data or the run failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``protvec`` command."""
    import os
    import sys

    # Lance says by a warning that statistics of an index will lack something that is not looked at here.
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    from protvec.cli.app import run

    sys.exit(run(sys.argv[1:]))
