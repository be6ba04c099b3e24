"""The command line: a skin over the library.

It looks the other packages up only when a command needs them, so that `--help` is quick and the
method works where Flower is absent.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from mycroft_fl.config import setting_rows
from mycroft_fl.errors import InputError, MycroftError, RunFailed, SettingError

BAD_INPUT, RUN_FAILED, INTERRUPTED = 2, 1, 130
TRACEBACK_WANTED = "MYCROFT_TRACEBACK"
SHOWN = 20


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="mycroft-fl", prog_name="mycroft-fl")
@click.pass_context
def cli(context: click.Context) -> None:
    """Find out which data owners can help your model, with as little of their data as possible."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@click.argument("scenario")
@click.option("--method", help="How owners choose: a name, or package.module:function.")
@click.option("--seed", type=int, help="Draws everything that is random.")
@click.option(
    "--engine",
    type=click.Choice(["flower", "in-process"]),
    default="flower",
    show_default=True,
    help="Flower's simulation engine, or all in this process.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="A run setting, or owners, model, dataset, policy.*; VALUE is TOML, else a string.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder, new or empty.")
@click.option("--force", is_flag=True, help="Replace an earlier run in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
def simulate(
    scenario: str,
    method: str | None,
    seed: int | None,
    engine: str,
    assignments: tuple[str, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Run SCENARIO: a packaged one's name (see `scenarios`) or a TOML file."""
    settings = dict(_from_here(*assigned(each)) for each in assignments)
    settings |= {k: v for k, v in (("method", method), ("seed", seed)) if v is not None}
    _make_importable_from_here()
    from mycroft_fl.report.summary import console_for, show
    from simulations.progress import show_progress
    from simulations.run import run
    from simulations.simulation import Simulation
    from strategies.run_folder import RunFolder

    folder = (out or _fresh_folder(Path(scenario).stem)).absolute()
    show_progress(sys.stderr)
    # What a method of one's own prints is no part of the result.
    with contextlib.redirect_stdout(sys.stderr):
        simulation = Simulation.load(_existing(scenario), settings, folder, engine=engine)
        simulation.check()
        with RunFolder.replacing(folder, force=force):
            result = run(simulation)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        show(result, console_for(sys.stdout))
        click.echo(f"All of it is in {folder}")


@cli.command()
@click.option(
    "--hard-set", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="npz with what the model gets wrong: x and y, or ready gradients g.",
)  # fmt: skip
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="npz with the candidates, in the same form.",
)  # fmt: skip
@click.option("--method", required=True, help="A method's name, or package.module:function.")
@click.option("--k", required=True, type=int, help="How many to pick, at most.")
@click.option("--model", metavar="NAME", help="The architecture to look through.")
@click.option(
    "--weights", type=click.Path(path_type=Path), metavar="FILE", help="Its weights, safetensors."
)
@click.option("--seed", type=int, default=0, help="Draws everything that is random.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="feature-space, gradient-layers, feature-weight or device, see `settings`.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="npz for indices, weights and unexplained; without it, a table.",
)  # fmt: skip
def select(
    hard_set: Path,
    data: Path,
    method: str,
    k: int,
    model: str | None,
    weights: Path | None,
    seed: int,
    assignments: tuple[str, ...],
    out: Path | None,
) -> None:
    """Pick, from arrays in a file, the few examples that help with a hard set."""
    _make_importable_from_here()
    from mycroft_fl.array_selection import Ask, answered, checked_settings, write

    config = checked_settings(dict(assigned(each) for each in assignments), seed)
    if out is not None and out.absolute() in (hard_set.absolute(), data.absolute()):
        raise SettingError(f"--out {out} is one of the files that are read; give another")
    answer = answered(Ask(hard_set, data, method, k, model, weights, config))
    for note in answer.notes:
        click.echo(f"mycroft-fl: note: {note}", err=True)
    picked = answer.selection
    summary = f"{len(picked.indices)} of {answer.candidates} candidates"
    if out is not None:
        write(picked, out)
        click.echo(f"{summary}, in {out}")
        return
    rows = [
        [str(index), label, f"{weight:.4g}"]
        for index, label, weight in zip(picked.indices, answer.labels, picked.weights, strict=True)
    ]
    _print_rows(["index", "class", "weight"], rows[:SHOWN])
    more = f"; --out FILE keeps all, {SHOWN} are shown" if len(rows) > SHOWN else ""
    click.echo(f"{summary}; {100 * picked.unexplained:.1f} % of the target unexplained{more}")


@cli.command("ledger")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--head", type=click.Path(path_type=Path), help="The chain's head; else beside FILE.")
def show_ledger(file: Path, head: Path | None) -> None:
    """Show what an owner's ledger FILE says was released to whom, and what is left."""
    from mycroft_fl.privacy.overview import left, open_ledger, releases

    book = open_ledger(file, head)
    _print_rows(*releases(book.rows()))
    for line in left(book):
        click.echo(line)
    if problems := book.problems():
        raise RunFailed("the ledger does not add up: " + "; ".join(problems))
    click.echo("the chain is whole")


@cli.command("audit")
@click.option(
    "--mode", type=click.Choice(["score", "gradient", "raw-gumbel"]), help="One mode only."
)
@click.option("--bugs", is_flag=True, help="Plant known bugs instead: every one must be caught.")
def run_audit(mode: str | None, bugs: bool) -> None:
    """Run the privacy mechanisms many times and compare what shows with what is claimed."""
    from mycroft_fl.privacy.audits import findings

    if bugs:
        _plant_bugs()
        return
    found = findings(mode)
    _print_rows(
        ["mode", "audit", "measured", "found", "claimed", "holds"],
        [
            [each.mode, each.audit, each.measure, f"{each.found:.3f}", f"{each.claimed:.3f}",
             "yes" if each.holds else "NO"]
            for each in found
        ],
    )  # fmt: skip
    if not all(each.holds for each in found):
        raise RunFailed(
            "a mechanism does not keep its claim, or an audit cannot see whether it does"
        )


def _plant_bugs() -> None:
    from mycroft_fl.privacy.seeded_bugs import BUGS, caught

    rows = [[name, "caught" if caught(name) else "MISSED"] for name in BUGS]
    _print_rows(["bug", "audit"], rows)
    missed = [name for name, verdict in rows if verdict == "MISSED"]
    if missed:
        raise RunFailed(f"the audits are blind to: {', '.join(missed)}")


@cli.command()
def scenarios() -> None:
    """List the scenarios that come with the package."""
    from simulations.scenario import packaged_scenarios

    _print_rows(["scenario", "title"], [list(row) for row in packaged_scenarios()])


@cli.command()
def settings() -> None:
    """List every run setting with its default and meaning."""
    rows = [[key, json.dumps(default), meaning] for key, default, meaning in setting_rows()]
    _print_rows(["setting", "default", "meaning"], rows)


def main() -> None:
    """Run the command line; errors go to stderr in one to three lines."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), BAD_INPUT)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except MycroftError as error:
        _fail(str(error), RUN_FAILED)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; nothing of the run is still going on", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone: not our failure, and no place to say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get(TRACEBACK_WANTED):
            raise
        place = f"set {TRACEBACK_WANTED}=1 to see where"
        _fail(f"{type(error).__name__}: {error}\n{place}", RUN_FAILED)


def assigned(assignment: str) -> tuple[str, Any]:
    """KEY=VALUE; VALUE a TOML literal, else a string."""
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise SettingError(f"--set {assignment}: give KEY=VALUE, such as --set budget=100")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def _existing(scenario: str) -> str:
    """A file's absolute path, as other processes find it; else the name as it is."""
    path = Path(scenario).expanduser().absolute()
    try:
        return str(path) if path.is_file() else scenario
    except OSError as error:
        raise InputError(f"'{scenario[:40]}...' is no scenario: {error.strerror}") from error


def _from_here(key: str, value: Any) -> tuple[str, Any]:
    """A file of the folder one is in by its whole path: all else is relative to the scenario."""
    path = value.get("path") if isinstance(value, dict) else value
    if key != "dataset" or not isinstance(path, str) or not Path(path).exists():
        return key, value
    whole = str(Path(path).absolute())
    return key, {**value, "path": whole} if isinstance(value, dict) else whole


def _fresh_folder(scenario: str) -> Path:
    """runs/<time>-<scenario>, or with a number behind where two runs start in one second."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{scenario}"
    number, folder = 1, Path("runs") / stem
    while folder.exists():
        number, folder = number + 1, Path("runs") / f"{stem}-{number + 1}"
    return folder


def _make_importable_from_here() -> None:
    """A method of one's own is looked up in the folder one is in, in the engine's workers too."""
    here = str(Path.cwd())
    sys.path.append(here)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), here]))


def _print_rows(head: list[str], rows: list[list[str]]) -> None:
    from mycroft_fl.report.summary import console_for

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console_for(sys.stdout).print(table)


def _fail(message: str, code: int) -> None:
    lines = [line for line in message.splitlines() if line.strip()][:3]
    click.echo("mycroft-fl: " + "\n".join(lines), err=True)
    sys.exit(code)
