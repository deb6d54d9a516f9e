"""The `sglc` command: how it ends, and how what goes wrong is told.

Law: a user's mistake is a sentence and exit code 2, never a traceback. Nothing heavy is imported
before a command runs, so `--help` is instant.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from sglc import arguments, streams
from sglc.commands import say, show_diagnostics

WRONG, INTERNAL, INTERRUPTED, BROKEN_PIPE = 2, 3, 130, 141

# Exceptions whose text is a sentence for the user. One can only be raised when its module is
# loaded.
USER_ERRORS = (
    ("sglc.bench.openai_baseline", "ServerError"),
    ("sglc.codegen.plan_file", "PlanError"),
    ("sglc.commands", "UsageError"),
    ("sglc.compiler.driver", "UnknownPass"),
    ("sglc.compiler.sample", "SampleError"),
    ("sglc.output_file", "OutputError"),
    ("sglc.runtime.results.append_file", "ResultError"),
    ("sglc.runtime.extern_file", "ExternError"),
    ("sglc.runtime.model.errors", "ModelError"),
    ("sglc.runtime.profile", "ProfileError"),
    ("sglc.runtime.rows.bind", "InputError"),
)


def command() -> NoReturn:
    """`sglc` as a process."""
    streams.open_closed_streams()
    streams.let_talk_be_lost()
    code = main()
    if code == INTERRUPTED:
        sys.stderr.flush()
        os._exit(code)  # taking torch down in good order takes a second
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = arguments.read(argv)
    try:
        code = _code(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        return _interrupted(args, stop, sys.argv[1:] if argv is None else argv)
    except BrokenPipeError:
        streams.leave_stdout()
        return BROKEN_PIPE
    except OSError as error:
        streams.leave_stdout()
        say(f"error: cannot write stdout: {(error.strerror or str(error)).lower()}")
        return WRONG


def _code(args: argparse.Namespace) -> int:
    """The exit code of a command, what went wrong told. An OSError that it raises is
    stdout's."""
    try:
        code: int = args.command(args)
        return code
    except Exception as error:
        if streams.is_of_stdout(error):
            raise
        return _failed(args, error)


# ---------------------------------------------------------------- what goes wrong


def _failed(args: argparse.Namespace, error: Exception) -> int:
    compile_errors = getattr(sys.modules.get("sglc.compiler.diagnostics"), "CompileErrors", ())
    if isinstance(error, compile_errors):
        as_json = getattr(args, "json", False)
        show_diagnostics(error.diagnostics, error.sources, as_json=as_json)
        return WRONG
    if isinstance(error, OSError) and error.filename is not None:
        say(f"error: cannot use {error.filename}: {(error.strerror or str(error)).lower()}")
    elif isinstance(error, _user_errors()):
        say(f"error: {error}")
    else:
        return _internal(error)
    if os.environ.get("SGLC_TRACEBACK"):
        traceback.print_exception(error)
    return WRONG


def _user_errors() -> tuple[type[Exception], ...]:
    modules = ((sys.modules.get(module), name) for module, name in USER_ERRORS)
    return tuple(getattr(module, name) for module, name in modules if module is not None)


def _internal(error: Exception) -> int:
    blamed = getattr(sys.modules.get("sglc.compiler.driver"), "InternalError", ())
    if isinstance(error, blamed):
        say(f"internal error: {error}")  # it says which stage failed, and what to report
    else:
        say(f"internal error: {type(error).__name__}: {error}")
        say("this is a bug in sglc: please report it, with what SGLC_TRACEBACK=1 shows")
    if os.environ.get("SGLC_TRACEBACK"):
        traceback.print_exception(error)
    return INTERNAL


def _interrupted(args: argparse.Namespace, stop: KeyboardInterrupt, argv: Sequence[str]) -> int:
    output = getattr(args, "output", None)
    num_rows = getattr(stop, "num_rows", None)
    if output is None or num_rows is None:
        say(
            "interrupted" if num_rows is None else "interrupted; with -o FILE a run can go on later"
        )
    else:
        say(f"interrupted: {output} has the first {num_rows:,} rows. To go on:")
        print("  " + shlex.join(["sglc", *argv]), file=sys.stderr)
    return INTERRUPTED
