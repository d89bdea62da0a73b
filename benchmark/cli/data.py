"""The verbs under `data`: list published sources, fetch their files, prepare the datasets of a suite."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.dry_run import print_inspection
from benchmark.cli.ending import ended
from benchmark.cli.options import DataDir, Scale, Select, SuiteName, console, parse_select, table
from tasks.datasets.storage.cache import default_data_dir, writable_dir
from tasks.datasets.storage.sources import Source, SourceFile, find, get_file, get_source, load_sources, obtain

app = typer.Typer(no_args_is_help=True, help="Fetch published data, or prepare the datasets of a suite.")


@app.command("list")
def list_sources(
    source: Annotated[str | None, typer.Argument(help="Only this source, with each of its files.")] = None,
    data_dir: DataDir = None,
) -> None:
    """List the sources of published data, and which of their files are there already."""
    folder = data_dir or default_data_dir()
    if source is not None:
        _list_files(source, folder)
        return
    listing = table(
        "source", "title", "files", "there", "size", "licence", whole=("source", "licence"), right=("files", "there")
    )
    for name, listed in load_sources().items():
        there = sum(find(name, file.name, folder) is not None for file in listed.files)
        size = _size([file for file in listed.files if file.by_default])
        listing.add_row(name, listed.title, str(len(listed.files)), str(there), size, listed.licence)
    console.print(listing)
    for name, listed in load_sources().items():
        _print_lines(f"{name}: cite {_citation(listed)}", f"    see {listed.page}")
    console.print(f"looked for in {folder}", highlight=False, soft_wrap=True)


def _list_files(name: str, folder: Path) -> None:
    """Print a source and its files."""
    source = get_source(name)
    _print_terms(source)
    listing = table("file", "size", "there", "fetched by default")
    for file in source.files:
        there = find(name, file.name, folder)
        listing.add_row(file.name, _size([file]), str(there or "no"), "yes" if file.by_default else "no")
    console.print(listing)


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A source, see `data list`.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files, or patterns like '*ethanol*_01.npz'; default all, without alternatives."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Download files of a source unless they are there; run it again after an interruption to go on."""
    from benchmark.run.watching.progress import Display

    folder = data_dir or default_data_dir()
    known = get_source(source)
    names = _matching(source, known, files) if files else [file.name for file in known.files if file.by_default]
    _print_terms(known)
    paths = []
    try:
        with Display(console) as display, display.preparing(source) as show:
            for number, name in enumerate(names):

                def progress(message: str, fraction: float, number: int = number) -> None:
                    show(f"file {number + 1} of {len(names)}: {message}", (number + fraction) / len(names))

                paths.append(obtain(source, name, folder, progress))
    except KeyboardInterrupt as interrupt:
        raise ended(interrupt, "goes on from what has come so far") from None
    for place in dict.fromkeys(path.parent for path in paths):
        count = sum(path.parent == place for path in paths)
        console.print(f"{count} {'file is' if count == 1 else 'files are'} in {place}", highlight=False, soft_wrap=True)


@app.command()
def prepare(
    suite: SuiteName,
    scale: Scale = "quick",
    select: Select = None,
    data_dir: DataDir = None,
    jobs: Annotated[int | None, typer.Option(help="Processes at a time; default one a core.")] = None,
) -> None:
    """Prepare the datasets of a suite, without training."""
    from benchmark.planning.planner import check_numbers, check_selection
    from benchmark.planning.reading import load_suite, read_suite

    # What is wrong is refused before torch is imported.
    check_numbers(jobs=jobs)
    check_selection(read_suite(suite, scale), parse_select(select))

    from benchmark.run.data import prepare_suite
    from benchmark.run.watching.progress import Display

    folder = data_dir or default_data_dir()
    # Before the display begins: building networks has libraries print what they think of the machine.
    loaded = load_suite(suite, scale)
    with Display(console) as display:
        prepare_suite(loaded, parse_select(select), folder, jobs, display)
    done = f"datasets of suite {suite}, scale {scale}, are in {writable_dir(folder)}"
    console.print(done, highlight=False, soft_wrap=True)


@app.command()
def check(
    suite: SuiteName,
    scale: Scale = "quick",
    select: Select = None,
    data_dir: DataDir = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; default the suite's.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes at a time; default one a core.")] = None,
) -> None:
    """Prepare the data of a suite and check all of it, in one list; exit code 2 if anything would stop a run."""
    from benchmark.planning.planner import check_numbers, check_selection
    from benchmark.planning.reading import check_entries, read_suite

    loaded, chosen = read_suite(suite, scale), parse_select(select)
    check_numbers(seeds=seeds, jobs=jobs)
    check_selection(loaded, chosen, seeds)

    from benchmark.cell.checking.inspection import inspect_data
    from benchmark.run.data import try_to_prepare
    from benchmark.run.watching.progress import Display

    check_entries(loaded)
    folder = data_dir or default_data_dir()
    with Display(console) as display:
        failed = try_to_prepare(loaded, chosen, folder, jobs, display)
    found = inspect_data(loaded, chosen, seeds, folder, failed)
    print_inspection(console, found)
    if found.count("stop"):
        raise typer.Exit(2)


def _matching(name: str, source: Source, patterns: list[str]) -> list[str]:
    """Names of the files that any of the patterns fits, in the source's order.

    Raises:
        DatasetError: a pattern fits no file.
    """
    names = [file.name for file in source.files]
    for pattern in patterns:
        if not any(fnmatchcase(file, pattern) for file in names):
            get_file(name, pattern)  # says what there is
    return [file for file in names if any(fnmatchcase(file, pattern) for pattern in patterns)]


def _size(files: list[SourceFile]) -> str:
    """Total size of the files, as far as it is published."""
    sizes = [file.bytes for file in files if file.bytes is not None]
    if not sizes:
        return "not published"
    return f"{'' if len(sizes) == len(files) else '> '}{sum(sizes) / 1e6:.1f} MB"


def _print_terms(source: Source) -> None:
    """What a user has to know before using the data."""
    lines = [
        source.title,
        f"licence: {source.licence}; see {source.page}",
        f"cite: {_citation(source)}",
        f"labels: {source.level_of_theory}, in {source.units['energy']} and {source.units['force']}",
    ]
    lines += [f"note: {source.note}"] if source.note else []
    lines += [f"the authors warn: {source.warning}"] if source.warning else []
    _print_lines(*lines)


def _citation(source: Source) -> str:
    return f"{source.citation.text}, https://doi.org/{source.citation.doi}"


def _print_lines(*lines: str) -> None:
    """Lines that a terminal may wrap, but that are whole when they are copied."""
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
