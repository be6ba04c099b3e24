"""Nothing of a federation is left once it is over."""

from __future__ import annotations

import sys

from simulations.engines.processes import processes_of
from simulations.federation.processes import federation
from simulations.setup.simulation import Simulation


def test_what_it_started_has_ended_and_was_waited_for(tmp_path) -> None:
    settings = {"owners": 2}
    simulation = Simulation.load("rotated-digits", settings, tmp_path / "run", engine="in-process")
    with federation(simulation, started=False) as made:
        made.launch("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
        sleeper = made.processes["sleeper"]
        assert sleeper.poll() is None
    assert sleeper.returncode is not None
    assert not processes_of(made.folder)
    assert not made.folder.exists()
