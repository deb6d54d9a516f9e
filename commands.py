"""What each `sglc` command does, given its parsed arguments; each returns an exit code.

Law: stdout is for results, stderr for talk. Imports stand in the command that needs them, so that
one loads no more than its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sglc import __version__

if TYPE_CHECKING:
    from sglc.codegen.plan import Plan
    from sglc.compiler.diagnostics import Diagnostic
    from sglc.compiler.driver import CompileResult
    from sglc.ir.host.expr import Value
    from sglc.ir.span import Source
    from sglc.runtime.model.spec import ModelSpec
    from sglc.runtime.planner.facts import BatchFacts
    from sglc.runtime.session import EngineOptions, Session

DONE, SOME_FAILED = 0, 1

Command = Callable[[argparse.Namespace], int]


class UsageError(Exception):
    """Arguments that do not go together; the text is a sentence for the user."""


def say(text: str) -> None:
    """A line of talk."""
    print(f"sglc: {text}", file=sys.stderr)


def show_diagnostics(
    diagnostics: Iterable[Diagnostic], sources: Sequence[Source], *, as_json: bool
) -> None:
    """For people on stderr, or for machines on stdout, one JSON object a line."""
    from sglc.compiler.diagnostics import render, to_json

    found = list(diagnostics)
    if as_json:
        for diagnostic in found:
            print(json.dumps(to_json(diagnostic, sources), ensure_ascii=False))
    elif found:
        has_color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        print(render(found, sources, color=has_color), file=sys.stderr)


def check(args: argparse.Namespace) -> int:
    """Report all errors and warnings of a program. Without --model, nothing about tokens is
    checked."""
    from sglc.compiler.check import check as check_program

    _refuse_plan(args)
    spec = None if args.model is None else _session(args.model).spec
    checked = check_program(
        Path(args.file), None, program=args.program, defines=_defines(args), spec=spec
    )
    show_diagnostics(checked.warnings, checked.sources, as_json=getattr(args, "json", False))
    return DONE


def compile_plan(args: argparse.Namespace) -> int:
    """Compile a program to a plan file."""
    from sglc.codegen.plan_file import write_plan
    from sglc.output_file import refuse_inputs, write_whole

    _refuse_plan(args)
    output = Path(args.output or Path(args.file).with_suffix(".bin").name)
    refuse_inputs(output, [args.file, args.sample])
    result = _compile(args, _session(args.model))
    data = write_plan(result.plan)
    write_whole(output, data)
    for note in result.notes:
        say(note)
    say(f"wrote {output} ({len(data):,} bytes)")
    return DONE


def run_rows(args: argparse.Namespace) -> int:
    """Run a plan, or a program compiled on the spot, over rows."""
    _let_waiting_threads_sleep()

    from sglc.output_file import refuse_inputs
    from sglc.runtime.job import Job, run_job
    from sglc.runtime.progress import counted

    refuse_inputs(args.profile, [args.file, args.inputs, *args.extern])
    if args.retry_errors and args.output is None:
        raise UsageError("--retry-errors needs the -o file whose failed rows are to run again")
    plan, session = _plan_and_model(args)
    externs = _externs(args, plan)
    options = _engine_options(args)
    job = Job(
        _inputs(args, plan),
        args.output,
        seed=args.seed,
        row_id=args.row_id,
        keep=tuple(args.keep),
        has_usage=args.usage,
        has_trace=args.trace,
        is_strict=args.strict,
        limit=args.limit,
        retry_errors=args.retry_errors,
        order=args.order,
        profile=args.profile,
    )
    done = run_job(
        job,
        plan,
        session.spec,
        lambda: session.make_engine(options),
        externs=externs,
        engine_options={"model": session.spec.identity.reference, **options.identity()},
    )
    if not done.num_run:
        say(f"nothing to do: {args.output} has all {counted(done.num_rows, 'row')}")
    else:
        say(done.talk)
    if done.num_failed and args.output is not None:
        say(f"{counted(done.num_failed, 'row')} failed; --retry-errors runs them again")
    return SOME_FAILED if done.num_failed else DONE


def bench(args: argparse.Namespace) -> int:
    """Time a plan, or a program compiled on the spot, over rows."""
    _let_waiting_threads_sleep()

    import itertools
    from dataclasses import asdict

    from sglc.bench.bench import Baselines, bench
    from sglc.bench.report import report
    from sglc.bench.work import Work
    from sglc.runtime.model.load import load_config
    from sglc.runtime.model.locate import locate
    from sglc.runtime.rows.row_file import read_values

    if (args.base_url is None) != (args.baseline != "openai"):
        raise UsageError("--baseline openai and --base-url URL go together")
    plan, session = _plan_and_model(args)
    files = locate(args.model or plan.model.reference)
    rows = [value for _, value in itertools.islice(read_values(args.inputs), args.limit)]
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UsageError(f"{args.inputs}: row {place} is no JSON object")
    work = Work(
        plan,
        session,
        files,
        load_config(files),
        [row for row in rows if isinstance(row, dict)],
        _engine_options(args),
        _externs(args, plan),
        args.seed,
    )
    baselines = Baselines(
        args.baseline == "transformers", args.base_url, args.server_model, args.baseline_rows
    )
    result = bench(work, repeat=args.repeat, ablate=args.ablate, baselines=baselines, say=say)
    print(json.dumps(asdict(result)) if args.json else report(result))
    return SOME_FAILED if result.best.failed else DONE


def explain(args: argparse.Namespace) -> int:
    """Print or draw what a plan will do, and what a batch of rows will take."""
    from sglc.explain.page import page
    from sglc.explain.rehearse import row_kv_if_known
    from sglc.explain.report import Report
    from sglc.explain.terminal import show
    from sglc.output_file import refuse_inputs, write_whole
    from sglc.runtime.profile import read_profile

    refuse_inputs(args.html, [args.file, args.inputs, args.profile, *args.extern])
    if args.profile is not None and args.inputs is None:
        raise UsageError("--profile is compared with what is predicted: give the run's --inputs")
    profile = None if args.profile is None else read_profile(args.profile)
    plan, spec = _plan_to_explain(args)
    batch = None if args.inputs is None else _batch_facts(args, plan, spec)
    row_kv = row_kv_if_known(plan, spec) if batch is None else batch.row_kv
    report = Report(plan, row_kv, batch, profile)
    if args.html is not None:
        write_whole(Path(args.html), page(report.page_data()).encode())
        say(f"wrote {args.html}")
    if args.json:
        print(json.dumps(report.as_json()))
    elif args.html is None:
        show(report.text())
    return DONE


def fetch_model(args: argparse.Namespace) -> int:
    """Fetch a model and print where it lies."""
    from sglc.runtime.model.locate import locate
    from sglc.runtime.progress import FetchProgress

    files = locate(args.name, progress=FetchProgress())
    record = {"reference": files.reference, "path": str(files.path)}
    print(json.dumps(record) if args.json else files.path)
    return DONE


def version(args: argparse.Namespace) -> int:
    """Print the version of sglc."""
    print(json.dumps({"version": __version__}) if args.json else f"sglc {__version__}")
    return DONE


# ---------------------------------------------------------------- parts of commands


def _refuse_plan(args: argparse.Namespace) -> None:
    from sglc.codegen.plan_file import is_plan

    if is_plan(Path(args.file)):
        raise UsageError(f"{args.file} is a compiled plan; this command takes the .sgl program")


def _session(name: str | None) -> Session:
    from sglc.runtime.progress import FetchProgress
    from sglc.runtime.session import open_session

    return open_session(name, FetchProgress())


def _let_waiting_threads_sleep() -> None:
    """Threads that wait for each other sleep soon: by default they spin for milliseconds, and where
    other work wants the cores too, a run took 4 times as long (2 cores, load 4, torch 2.13,
    November 2026). To be called before torch is imported."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _plan_and_model(args: argparse.Namespace) -> tuple[Plan, Session]:
    """The plan in a file, or of a program, and the model that it is for."""
    from sglc.codegen.plan_file import read_plan
    from sglc.runtime.session import check_model

    if args.file.endswith(".sgl"):
        session = _session(args.model)
        return _compile(args, session).plan, session
    if args.program is not None or args.define:
        raise UsageError("--program and --define are for .sgl files; a plan has them compiled in")
    plan = read_plan(Path(args.file))
    session = _session(args.model or plan.model.reference)
    check_model(plan, session.spec)
    return plan, session


def _plan_to_explain(args: argparse.Namespace) -> tuple[Plan, ModelSpec | None]:
    """A plan file needs no model to be explained, but for what its rows do."""
    from sglc.codegen.plan_file import read_plan

    if not args.file.endswith(".sgl") and args.sample is not None:
        raise UsageError("--sample is for .sgl files; a plan has its order compiled in")
    if not args.file.endswith(".sgl") and args.inputs is None:
        return read_plan(Path(args.file)), None
    plan, session = _plan_and_model(args)
    return plan, session.spec


def _batch_facts(args: argparse.Namespace, plan: Plan, spec: ModelSpec | None) -> BatchFacts:
    from sglc.explain.rehearse import rehearse
    from sglc.runtime.extern_file import load_externs
    from sglc.runtime.model.locate import locate
    from sglc.runtime.session import EngineOptions

    assert spec is not None
    return rehearse(
        plan,
        spec,
        locate(args.model or plan.model.reference),
        args.inputs,
        EngineOptions(args.device, args.dtype, kv_memory=args.kv_memory),
        limit=args.limit,
        externs=load_externs(args.extern),
    )


def _externs(args: argparse.Namespace, plan: Plan) -> dict[str, Callable[..., Any]]:
    from sglc.runtime.extern_file import check_externs, load_externs

    externs = load_externs(args.extern)
    check_externs(plan.externs, externs, "give it with --extern FILE.py")
    return externs


def _engine_options(args: argparse.Namespace) -> EngineOptions:
    from sglc.runtime.session import EngineOptions

    return EngineOptions(
        args.device,
        args.dtype,
        args.load_format,
        args.kv_memory,
        args.deterministic,
        order=args.order,
    )


def _compile(args: argparse.Namespace, session: Session) -> CompileResult:
    from sglc.compiler.driver import compile_file
    from sglc.runtime.rows.row_file import read_values

    sample = getattr(args, "sample", None)
    result = compile_file(
        Path(args.file),
        None,
        spec=session.spec,
        program=args.program,
        defines=_defines(args),
        sample=None if sample is None else read_values(sample),
        skip=getattr(args, "skip", ()),
        print_after=getattr(args, "print_after", ()),
        out=print,
    )
    show_diagnostics(result.warnings, result.sources, as_json=getattr(args, "json", False))
    return result


def _defines(args: argparse.Namespace) -> dict[str, Value]:
    defines: dict[str, Value] = {}
    for pair in args.define:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--define {pair}: expected NAME=VALUE")
        try:
            defines[name] = json.loads(text)
        except ValueError:
            defines[name] = text
    return defines


def _inputs(args: argparse.Namespace, plan: Plan) -> str | dict[str, Value]:
    from sglc.runtime.rows.bind import row_by_hand

    if args.inputs is not None and args.set:
        raise UsageError("--set gives one row by hand, --inputs a file of rows: use one of them")
    if args.inputs is not None:
        return str(args.inputs)
    needed = [param.name for param in plan.params if not param.has_default]
    if needed and not args.set:
        example = " ".join(f"--set {name}=..." for name in needed)
        raise UsageError(
            f"`{plan.program}` needs rows: give --inputs FILE.jsonl, or one row: {example}"
        )
    return row_by_hand(args.set, plan.params)
