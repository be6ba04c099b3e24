"""The command line: a skin over the library.

It looks the other packages up only when a command needs them, so that `--help` is quick and the
method works where Flower is absent.
"""

from __future__ import annotations

import os
import sys

import click

from mycroft_fl.cli.common import say_lines
from mycroft_fl.cli.federation import export_scenario, try_federation
from mycroft_fl.cli.inspect_data import inspect_data
from mycroft_fl.cli.lists import scenarios, settings
from mycroft_fl.cli.owner import owner
from mycroft_fl.cli.privacy import run_audit, show_ledger
from mycroft_fl.cli.report import report
from mycroft_fl.cli.select import select
from mycroft_fl.cli.simulate import simulate
from mycroft_fl.cli.study import study
from mycroft_fl.cli.tensorboard import tensorboard
from mycroft_fl.cli.trainer import trainer
from mycroft_fl.errors import InputError, MycroftError
from mycroft_fl.files import disk_full, is_full, keep_private

BAD_INPUT, RUN_FAILED, INTERRUPTED = 2, 1, 130
MOST_LINES, MOST_PROBLEMS = 3, 40
TRACEBACK_WANTED = "MYCROFT_TRACEBACK"


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="mycroft-fl", prog_name="mycroft-fl")
@click.pass_context
def cli(context: click.Context) -> None:
    """Find out which data owners can help your model, with as little of their data as possible."""
    # Picks that somebody asked for by indices are theirs to share; all else may hold owners' records.
    if context.invoked_subcommand != "select":
        context.call_on_close(keep_private())
    if context.invoked_subcommand is None:
        say_lines(context.get_help())


cli.add_command(inspect_data)
cli.add_command(simulate)
cli.add_command(study)
cli.add_command(tensorboard)
cli.add_command(select)
cli.add_command(report)
cli.add_command(show_ledger)
cli.add_command(run_audit)
cli.add_command(owner)
cli.add_command(scenarios)
cli.add_command(settings)
cli.add_command(trainer)
cli.add_command(try_federation)
cli.add_command(export_scenario)


def main() -> None:
    """Run the command line; errors go to stderr in one to three lines, bad input in one for each problem."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), BAD_INPUT)
    except InputError as error:
        _fail(str(error), BAD_INPUT, most=MOST_PROBLEMS)
    except MycroftError as error:
        _fail(str(error), RUN_FAILED)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; nothing of the run is still going on", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone: not our failure, and no place to say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if is_full(error):
            _fail(str(disk_full(error)), RUN_FAILED)
        if os.environ.get(TRACEBACK_WANTED):
            raise
        place = f"set {TRACEBACK_WANTED}=1 to see where"
        _fail(f"{type(error).__name__}: {error}\n{place}", RUN_FAILED)


def _fail(message: str, code: int, *, most: int = MOST_LINES) -> None:
    lines = [line for line in message.split("\n") if line.strip()]
    if len(lines) > most > MOST_LINES:
        lines[most - 1 :] = [f"and {len(lines) - most + 1} more"]
    lines = lines[:most]
    say_lines("mycroft-fl: " + "\n    ".join(lines), err=True)
    sys.exit(code)
