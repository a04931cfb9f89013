"""`verisql audit`: run every gold of a dataset, without a running service."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from service.audit.kinds import chosen
from service.audit.markdown import as_markdown
from service.audit.page import as_html
from service.audit.places import Chain, beside
from service.audit.report import Report, as_dict, as_json
from service.audit.run import audit as run_audit
from service.audit.subject import Audit, Options, Subject
from service.demo import build_demo, questions_path
from service.errors import InvalidRequest
from service.jobs.datasets import find_dataset
from service.sandbox.executor import Executor
from service.settings import Settings, load_settings
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.evaluation.whole_file import write_whole
from service.text2sql.questions import Dataset, read_dataset

File = Annotated[str, typer.Argument(help="A dataset in BIRD's or Spider's format, or `demo`.")]
Against = Annotated[
    list[str] | None, typer.Option(help="A dataset that must share nothing with FILE; repeatable.")
]
OutputDir = Annotated[
    Path | None, typer.Option(help="Write audit.json, audit.md and audit.html there.")
]
Clean = Annotated[Path | None, typer.Option(help="Write FILE without its unfit questions there.")]
SlowS = Annotated[float, typer.Option(min=0, help="A gold is slow above so many seconds.")]
Drop = Annotated[
    str | None,
    typer.Option(help="Kinds of findings that make a question unfit, `,` between them."),
]


def audit(
    file: File,
    against: Against = None,
    output_dir: OutputDir = None,
    clean: Clean = None,
    slow_s: SlowS = 5.0,
    drop: Drop = None,
) -> None:
    """Run every gold of a dataset and say which questions are unfit to train or evaluate on.

    Ends with 0 if every question is fit, 1 if one is not, 2 if it could not be tried.
    """
    settings = load_settings()
    options = Options(slow_s, chosen(drop.split(",") if drop is not None else None, "--drop"))
    dataset = _read(file, settings)
    others = [_read(name, settings) for name in against or []]
    if clean is not None and clean.resolve() == dataset.path.resolve():
        raise InvalidRequest(f"--clean {clean} is FILE itself, which stays as it is; name another")
    done = asyncio.run(_run(settings, dataset, others, options))
    report = as_dict(done)
    if output_dir is not None:
        for name, content in _reports(report).items():
            write_whole(output_dir / name, content)
    if clean is not None:
        write_whole(clean, dataset.text.without(done.why()))
    _show(report)
    if report["dropped"]:
        raise typer.Exit(1)


async def _run(
    settings: Settings, dataset: Dataset, others: list[Dataset], options: Options
) -> Audit:
    shared = _shared_databases(settings)
    subject, *rest = (_subject(one, shared) for one in (dataset, *others))
    with _progress() as bar:
        task = bar.add_task("running golds", total=len(subject.rows()))
        async with Executor(workers=settings.workers, limits=settings.limits) as executor:
            return await run_audit(
                executor,
                subject,
                rest,
                options,
                concurrency=settings.workers,
                progress=lambda count: bar.update(task, advance=count),
            )


def _read(name: str, settings: Settings) -> Dataset:
    """A file, a folder with one dataset in it, or a name below a data folder."""
    path = Path(name)
    if path.is_file():
        return read_dataset(path)
    own = path / f"{path.resolve().name}.json"  # BIRD's dev/dev.json lies beside other files
    found = [own] if own.is_file() else sorted(path.glob("*.json"))
    if len(found) == 1:
        return read_dataset(found[0])
    if name == "demo":
        return read_dataset(questions_path())
    return read_dataset(find_dataset(name, settings.data_dirs, "FILE"))


def _shared_databases(settings: Settings) -> DatabaseRegistry:
    return DatabaseRegistry.scan([_demo_folder(settings), *settings.data_dirs])


def _demo_folder(settings: Settings) -> Path:
    folder = settings.home_path / "databases"
    build_demo(folder)
    return folder


def _subject(dataset: Dataset, shared: DatabaseRegistry) -> Subject:
    wanted = {question.db_id for question in dataset.questions if question}
    databases = Chain([beside(dataset.path, wanted), shared])
    path = dataset.path.resolve()
    name = f"{path.parent.name}/{path.name}"  # BIRD's and Spider's files have the same few names
    return Subject(name, dataset.questions, databases, dataset.faults)


def _reports(report: Report) -> dict[str, bytes]:
    return {
        "audit.json": as_json(report),
        "audit.md": as_markdown(report).encode(),
        "audit.html": as_html(report),
    }


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _show(report: Report) -> None:
    console = Console()
    table = Table("finding", "questions", "unfit", "what it means")
    for kind in report["summary"]:
        unfit = "yes" if kind["dropped"] else ""
        table.add_row(kind["kind"], str(kind["count"]), unfit, kind["meaning"])
    if report["summary"]:
        console.print(table)
    console.print(
        f"{report['questions']} questions: {report['kept']} fit, {report['dropped']} unfit",
        highlight=False,
    )
