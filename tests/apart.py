"""Command lines, one after the other, in a process that may do less than others; as JSON, what became of each.

``python apart.py LINES [linkless]``, with a list of lists of words. One process for all: to start one takes longer than
a command does.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
import tempfile
from typing import Any


def forbid_hard_links() -> None:
    """Make link() fail in this process and its children as it does on vfat and on some network shares."""
    calls = {"x86_64": (86, 265), "aarch64": (37,)}[platform.machine()]
    load, equal, answer, allow, refuse = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050001
    steps = [(load, 0, 0, 0)]
    for number in calls:
        steps += [(equal, 0, 1, number), (answer, 0, 0, refuse)]
    steps.append((answer, 0, 0, allow))

    class Step(ctypes.Structure):
        _fields_ = [
            ("code", ctypes.c_uint16),
            ("jt", ctypes.c_uint8),
            ("jf", ctypes.c_uint8),
            ("k", ctypes.c_uint32),
        ]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("steps", ctypes.POINTER(Step))]

    program = Program(len(steps), (Step * len(steps))(*(Step(*step) for step in steps)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, mode_filter = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, mode_filter, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def attempt(words: list[str]) -> dict[str, Any]:
    """Exit code, standard output and standard error of a command line."""
    from protvec.cli.app import run

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = run(words)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"returncode": code, "stdout": texts[0], "stderr": texts[1]}


if __name__ == "__main__":
    if "linkless" in sys.argv:
        forbid_hard_links()
    json.dump([attempt(words) for words in json.loads(sys.argv[1])], sys.stdout)
