"""Segments: windows of long proteins, with vectors of their own, so that a domain they share is found.

``rule`` is where proteins are cut; ``vectors`` how their vectors are stored, in two columns of ``proteins`` beside the
mean vector and the search vector; ``making`` where they come from. See docs/segments.md.
"""

from __future__ import annotations

from protvec.store.segments.rule import Pieces, Rule, rule_of

__all__ = ["Pieces", "Rule", "rule_of"]
