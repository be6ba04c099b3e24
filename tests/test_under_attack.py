"""The attacks of `make attack`: they are what they say, and what fails is never counted as held."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


def test_a_section_that_cannot_be_carried_out_has_not_held(monkeypatch, capsys):
    from benchmarks.hostile import __main__ as under_attack
    from benchmarks.hostile.findings import Finding

    def half(stage: object) -> Iterator[Finding]:
        yield Finding("half", "first", 3, 0, "seen")
        raise RuntimeError("no vault")

    monkeypatch.setitem(sys.modules, "benchmarks.hostile.half", types.SimpleNamespace(attack=half))
    monkeypatch.setitem(under_attack.SECTIONS, "half", "half.attack")
    found = under_attack.attacked(None, ["half"])
    assert [(each.attack, each.succeeded) for each in found] == [
        ("first", 0), ("could not be carried out", 1),
    ]  # fmt: skip
    output = capsys.readouterr().out
    assert output.startswith("HELD  half")
    assert "OPEN  half" in output
    assert "RuntimeError: no vault" in output


def test_every_section_names_a_function_that_there_is():
    from benchmarks.hostile import __main__ as under_attack

    for place in under_attack.SECTIONS.values():
        module, _, name = place.partition(".")
        assert f"def {name}(stage: Stage)" in (BENCHMARKS / "hostile" / f"{module}.py").read_text()


def test_an_unknown_section_is_bad_usage():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hostile", "gate"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no section ['gate']" in done.stderr


def test_findings_are_written_whole(tmp_path):
    from benchmarks.hostile.findings import Finding, write_findings

    write_findings([Finding("port", "paths", 4, 1, "seen")], tmp_path / "found.json")
    [found] = json.loads((tmp_path / "found.json").read_text())
    assert found == {
        "section": "port", "attack": "paths", "tried": 4, "succeeded": 1, "figure": "seen",
    }  # fmt: skip
    assert [each.name for each in tmp_path.iterdir()] == ["found.json"]


@pytest.mark.parametrize("output", [True, False])
def test_a_zip_bomb_is_small_says_what_it_should_and_unpacks_to_zeros(tmp_path, output):
    from benchmarks.hostile import bombs

    path = tmp_path / "bomb.npz"
    bombs.npz_bomb(path, output=output)
    assert path.stat().st_size < 64 << 20
    with zipfile.ZipFile(path) as archive:
        [member] = archive.infolist()
        assert member.filename == "x.npy"
        assert (member.file_size > bombs.INSIDE) is output
        with archive.open(member) as stream:
            assert np.lib.format.read_magic(stream) == (1, 0)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            assert np.prod(shape) * dtype.itemsize == bombs.INSIDE
            assert set(stream.read(1000)) <= {0}


def test_a_picture_bomb_says_how_large_it_is(tmp_path):
    from PIL import Image

    from benchmarks.hostile import bombs

    bombs.png_bomb(tmp_path / "bomb.png", side=9_000)
    with Image.open(tmp_path / "bomb.png") as image:
        assert image.size == (9_000, 9_000)


def test_what_is_recorded_is_what_a_vault_is_sent(tmp_path):
    from benchmarks.hostile.recorded import as_sent
    from clients.serving.socket_protocol import SELECT, ask
    from mycroft_fl.protocol.envelope import SignedTerms, sign_request
    from mycroft_fl.protocol.keys import KeyPair

    envelope = sign_request(
        b"content", SignedTerms.fresh("run", "ward", 1, 5.0), KeyPair.generate()
    )
    first, again = as_sent(envelope), as_sent(envelope)
    assert first == again
    assert len(first) > 100
    # Of another request, another recording.
    other = sign_request(b"other", SignedTerms.fresh("run", "ward", 1, 5.0), KeyPair.generate())
    assert as_sent(other) != first
    assert callable(ask)
    assert SELECT


@pytest.mark.parametrize(
    ("code", "ended_with"),
    [("print('fine')", 0), ("import os; os.abort()", -6), ("import time; time.sleep(60)", None)],
    ids=["well", "by a signal", "too late"],
)
def test_how_a_command_ends_is_told_apart(code, ended_with):
    from benchmarks.hostile.measured import ended

    output = ended([sys.executable, "-c", code], seconds=5.0)
    assert output.code == ended_with
    assert output.said == ("fine\n" if ended_with == 0 else "")


def test_the_peak_of_a_command_is_what_it_held():
    from benchmarks.hostile.measured import ended

    small = ended([sys.executable, "-c", "pass"], seconds=60.0)
    code = "import time; x = b'x' * (200 << 20); time.sleep(0.5)"
    large = ended([sys.executable, "-c", code], seconds=60.0)
    assert 150 << 20 < large.peak - small.peak < 400 << 20


def test_files_that_others_may_read_are_found_and_a_closed_folder_hides_what_is_in_it(tmp_path):
    from benchmarks.hostile.handed import _reached_by_others

    open_folder, closed = tmp_path / "open", tmp_path / "closed"
    for folder, mode in ((open_folder, 0o755), (closed, 0o700)):
        folder.mkdir()
        (folder / "secret").write_text("x")
        (folder / "secret").chmod(0o644)
        folder.chmod(mode)
    (open_folder / "own").write_text("x")
    (open_folder / "own").chmod(0o600)
    (open_folder / "key.pub").write_text("x")
    assert {each.name for each in _reached_by_others(open_folder)} == {"open", "secret"}
    assert _reached_by_others(closed) == []


@pytest.mark.slow
def test_ledgers_hold_under_kills(tmp_path):
    out = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hostile", "kills", "--size", "0.3", "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert len(found) == 2
    assert all(each["tried"] for each in found)
    assert io.StringIO(done.stdout).readlines()[-1].startswith("2 of 2 attacks held")
