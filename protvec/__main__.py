"""``python -m protvec`` is ``protvec``."""

from __future__ import annotations

from protvec.cli import main

main()
