"""The quick tests over every Python that the package runs on, each in an environment of its own.

pipx run nox -f .ci/noxfile.py                  lint, and tests over 3.11 to 3.13
pipx run nox -f .ci/noxfile.py -s tests-3.12 -- tests/mycroft_fl/match
"""

from __future__ import annotations

from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
QUICK = ("-m", "not slow and not gpu")

nox.options.envdir = str(ROOT / "build" / "nox")
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False  # those at hand; a release needs all three
nox.options.sessions = ["lint", "tests"]


def install(session: nox.Session) -> None:
    """Install the tested versions with their hashes, then the checkout itself."""
    session.chdir(ROOT)
    session.install("--require-hashes", "-r", ".ci/locks/dev.txt")
    session.install("--no-deps", "--editable", ".")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the quick tests; arguments after -- are pytest's own."""
    install(session)
    session.run("pytest", *QUICK, *(session.posargs or ("-n", "2")))


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check format, lint, types and import rules, as `make test` does first."""
    install(session)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the site with the extra `docs` alone."""
    session.chdir(ROOT)
    project = nox.project.load_toml(ROOT / "pyproject.toml")["project"]
    session.install("--constraint", ".ci/locks/dev.txt", *project["optional-dependencies"]["docs"])
    session.run("mkdocs", "build", "--strict", "--config-file", ".ci/site/mkdocs.yml")
