"""The arguments of the `sglc` command, and what its help says.

Law: nothing heavy is imported, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

from sglc import commands

EXIT_CODES = """\
exit codes:
  0    done
  1    done, but some rows failed; their result lines hold the errors
  2    the program, the input or the command line is wrong, or a file cannot be written
  3    an internal error of sglc (SGLC_TRACEBACK=1 shows where)
  130  interrupted with Ctrl-C; with -o, the same command goes on
  141  whoever read stdout went away
"""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and where to read on."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"sglc: error: {message} (`{self.prog} --help` says more)\n")

    def refuse(self, unknown: str) -> NoReturn:
        """Of an argument that it does not have."""
        options = self._option_string_actions if unknown.startswith("-") else ()
        near = difflib.get_close_matches(unknown.split("=")[0], options, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        self.error(f"unknown argument {unknown}{hint}")


def read(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of one command line (None: the process's); a mistake in them exits with 2."""
    args, unknown = parser().parse_known_args(argv)
    if unknown:
        args.verb.refuse(unknown[0])
    return args


def parser() -> argparse.ArgumentParser:
    """Reads the arguments of `sglc`; `command` of what it reads is the function to call."""
    parser = _Parser(
        prog="sglc",
        description="Compile LLM programs and run them over rows of data.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    check = _verb(verbs, "check", commands.check, "report all errors and warnings of a program")
    _add_program(check)
    check.add_argument("--model", metavar="M", help="check tokens and lengths for this model too")
    _add_json(check)

    compile = _verb(verbs, "compile", commands.compile_plan, "compile a program to a plan file")
    _add_program(compile)
    compile.add_argument("-o", "--output", metavar="PLAN", help="default: the program's name, .bin")
    _add_model(compile)
    _add_passes(compile)
    _add_json(compile)

    run = _verb(verbs, "run", commands.run_rows, "run a program or a plan over rows")
    _add_run(run)

    bench = _verb(verbs, "bench", commands.bench, "time a program or a plan over rows")
    _add_bench(bench)

    explain = _verb(verbs, "explain", commands.explain, "print or draw what a plan will do")
    _add_explain(explain)

    model = _verb(verbs, "model", commands.fetch_model, "fetch a model and print where it lies")
    model.add_argument("name", nargs="?", help="default: the embedded model")
    _add_json(model)

    version = _verb(verbs, "version", commands.version, "print the version of sglc")
    _add_json(version)
    return parser


def _verb(
    verbs: argparse._SubParsersAction[_Parser],
    name: str,
    command: commands.Command,
    what: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=what,
        description=what[:1].upper() + what[1:] + ".",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command, verb=parser)
    return parser


def _add_program(parser: argparse.ArgumentParser, what: str = "a .sgl program") -> None:
    parser.add_argument("file", metavar="FILE", help=what)
    parser.add_argument("--program", metavar="NAME", help="which program of the file")
    parser.add_argument(
        "--define",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="give a const another value (JSON, or else text)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="M",
        help="a folder in Hugging Face layout, a .gguf file, a hub id; default: the embedded model",
    )


def _add_passes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sample",
        metavar="FILE",
        help="rows as JSON Lines, to choose the order of any_order blocks by",
    )
    for name, what in (("--print-after", "print the IR after this pass"), ("--skip", "skip it")):
        parser.add_argument(name, metavar="PASS", action="append", default=[], help=what)


def _add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="for machines: JSON on stdout")


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_program(parser, "a plan file, or a .sgl program")
    _add_model(parser)
    rows = parser.add_argument_group("rows")
    rows.add_argument("--inputs", metavar="FILE", help="JSON Lines, one row a line; - is stdin")
    rows.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="one row by hand, a parameter at a time (text as it is, other types as JSON)",
    )
    rows.add_argument("--limit", metavar="N", type=_positive, help="only the first N rows")
    rows.add_argument(
        "--strict", action="store_true", help="fields that nobody asks for are errors"
    )
    _add_externs(rows)

    results = parser.add_argument_group("results (rows count from 0)")
    results.add_argument(
        "-o", "--output", metavar="FILE", help="default: stdout; the same command goes on with it"
    )
    results.add_argument(
        "--row-id", metavar="FIELD", help="names the row: in results, and for seeds"
    )
    results.add_argument(
        "--keep", metavar="FIELD,...", type=_names, default=(), help="input fields to pass through"
    )
    results.add_argument("--usage", action="store_true", help="add token counts")
    results.add_argument("--trace", action="store_true", help="add named values and all texts")
    results.add_argument(
        "--retry-errors", action="store_true", help="run the failed rows of the -o file again"
    )
    results.add_argument(
        "--profile", metavar="FILE", help="write what each step did, for sglc explain --profile"
    )

    _add_running(parser)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    _add_program(parser, "a plan file, or a .sgl program")
    _add_model(parser)
    rows = parser.add_argument_group("rows")
    rows.add_argument(
        "--inputs", metavar="FILE", required=True, help="JSON Lines, one row a line; - is stdin"
    )
    rows.add_argument("--limit", metavar="N", type=_positive, help="only the first N rows")
    _add_externs(rows)
    measuring = parser.add_argument_group("measuring")
    measuring.add_argument(
        "--repeat", metavar="N", type=_positive, default=3, help="runs; default: 3"
    )
    measuring.add_argument(
        "--ablate",
        action="store_true",
        help="beside each run but the first one without each of: sharing, the tree in attention, "
        "row order, parallelism",
    )
    measuring.add_argument(
        "--baseline",
        choices=("transformers", "openai"),
        help="run the same calls by transformers' generate, or on a completions server",
    )
    measuring.add_argument(
        "--base-url",
        metavar="URL",
        help="the server, as http://localhost:8000/v1; its key: the variable OPENAI_API_KEY",
    )
    measuring.add_argument(
        "--server-model", metavar="NAME", help="default: the first that the server lists"
    )
    measuring.add_argument(
        "--baseline-rows", metavar="N", type=_positive, help="only the first N rows; default: all"
    )
    _add_json(measuring)
    _add_running(parser)


def _add_externs(rows: argparse._ArgumentGroup) -> None:
    rows.add_argument("--extern", metavar="FILE.py", action="append", default=[], help="functions")


def _add_running(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("running")
    model.add_argument("--seed", metavar="N", type=int, default=0, help="default: 0")
    _add_device(model)
    model.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bytes whatever the batch, the order and the interruptions",
    )
    model.add_argument(
        "--order",
        choices=("planned", "arrival", "random"),
        default="planned",
        help="in which rows start, to measure what it is worth; results come as ever",
    )
    model.add_argument(
        "--load-format", choices=("auto", "dummy"), default="auto", help="dummy: random weights"
    )


def _add_device(model: argparse._ArgumentGroup) -> None:
    model.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    model.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto"
    )
    model.add_argument("--kv-memory", metavar="SIZE", type=_size, help="bound of the KV, as 2GB")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    _add_program(parser, "a plan file, or a .sgl program")
    _add_model(parser)
    _add_passes(parser)
    _add_json(parser)
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write a page instead: the graph, the trie, the steps; it needs no network",
    )
    batch = parser.add_argument_group(
        "a batch", "what these rows share, how much memory they take and how long, before they run"
    )
    batch.add_argument("--inputs", metavar="FILE", help="JSON Lines, one row a line; - is stdin")
    batch.add_argument("--limit", metavar="N", type=_positive, help="only the first N rows")
    _add_externs(batch)
    batch.add_argument(
        "--profile",
        metavar="FILE",
        help="what `sglc run --profile FILE` wrote of them: predicted against actual",
    )
    _add_device(batch)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _size(text: str) -> int:
    """Bytes of `2GB`, `512MiB`, `1.5G` or `1000000`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 2GB or 512MiB")
    unit = (match[2] or "").capitalize()
    return int(float(match[1]) * {**_UNITS, **_BINARY_UNITS}[unit])
