"""The page at ``/``."""

from __future__ import annotations

from fastapi import APIRouter


def router() -> APIRouter:
    """The routes of the page and of its assets."""
    return APIRouter()
