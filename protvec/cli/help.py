"""Help in groups, in plain text."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Grouped(TyperCommand):
    """A command whose ``--help`` has its options under the headings that ``rich_help_panel`` gives them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # Typer's own, under another name in each version
        """Write the options of each heading, in the order in which the headings first occur."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                groups.setdefault(heading, []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)
