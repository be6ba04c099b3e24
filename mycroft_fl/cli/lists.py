"""`scenarios` and `settings`: what there is to choose from."""

from __future__ import annotations

import json

import click

from mycroft_fl.cli.common import print_rows
from mycroft_fl.settings.run_config import setting_rows


@click.command()
def scenarios() -> None:
    """List the scenarios that come with the package."""
    from simulations.population.scenario_file import packaged_scenarios

    print_rows(["scenario", "title"], [list(row) for row in packaged_scenarios()])


@click.command()
def settings() -> None:
    """List every run setting with its default and meaning."""
    rows = [[key, json.dumps(default), meaning] for key, default, meaning in setting_rows()]
    print_rows(["setting", "default", "meaning"], rows)
