"""The family of errors.

    MycroftError
    ├── InputError             what a person gave is wrong; the command exits with 2
    │   ├── SettingError       a run setting, a method, a budget
    │   ├── ScenarioError      a scenario's file
    │   ├── StudyError         a study's file, or the folder it is to go on in
    │   └── DataError          a data set or one of its files
    ├── RunFailed              the run could not be finished; the command exits with 1
    │   ├── NotEnoughOwners    fewer owners answered than `min-owners`
    │   ├── OwnersSilent       the run waits for owners that did not answer
    │   ├── DiskFull           there is no room to write; it can be resumed once there is
    │   └── EngineFailed       Flower's engine ended without a result
    ├── BadMessage             bytes from the network that are not what they should be
    ├── Refused                an owner's policy says no
    └── Withheld               a person has not agreed, or not yet; to the trainer, silence

Every message says what was wrong, what would be right, and what to do, in one to three lines; where
several things are wrong at once, it has a line for each.
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager

MOST_WORDS = 100
LONGEST_WORD = 80
"""What a list of known words shows: a table may have a hundred thousand columns."""


class MycroftError(Exception):
    """The root of all errors that this project raises on purpose."""


class InputError(MycroftError):
    """Something that a person gave is wrong."""


class SettingError(InputError):
    """A run setting, a method or a budget is wrong."""


class ScenarioError(InputError):
    """A scenario's file is wrong, or asks for more than its data sets hold."""


class StudyError(InputError):
    """A study's file is wrong, or does not go with the folder that it is to be run in."""


class DataError(InputError):
    """A data set, or one of its files, is missing or wrong."""


class RunFailed(MycroftError):
    """The run could not be finished."""


class NotEnoughOwners(RunFailed):
    """Fewer owners answered than `min-owners`."""


class OwnersSilent(RunFailed):
    """The run waits for owners that did not answer; it can be resumed."""


class DiskFull(RunFailed):
    """There is no room left to write; the run can be resumed once there is."""


class EngineFailed(RunFailed):
    """Flower's engine ended without a result."""


class BadMessage(MycroftError):
    """Bytes from the network that are not what they should be."""


class Refused(MycroftError):
    """An owner's policy says no. Its text depends on the request and the policy, never on data."""


class Withheld(MycroftError):
    """A person has not agreed to what would leave, or not yet. To the trainer it is silence."""


class Problems:
    """What is wrong in independent parts of one input, to be said in one answer.

    >>> problems = Problems()
    >>> with problems.noted():
    ...     raise SettingError("seed is -1; give 0 or more")
    >>> with problems.noted():
    ...     raise SettingError("budget is 0; give 1 or more")
    >>> problems.check()
    Traceback (most recent call last):
    mycroft_fl.errors.SettingError: seed is -1; give 0 or more
    budget is 0; give 1 or more
    """

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep an `InputError` that is raised inside `with`, and go on."""
        try:
            yield
        except InputError as error:
            self.errors.append(error)

    def check(self) -> None:
        """Raise the one error that was kept, or one of its kind that has a line for each."""
        if not self.errors:
            return
        if len(self.errors) == 1:
            raise self.errors[0]
        lines = dict.fromkeys(line for each in self.errors for line in str(each).split("\n"))
        kinds = {type(each) for each in self.errors}
        raise (kinds.pop() if len(kinds) == 1 else InputError)("\n".join(lines))


def one_line(error: BaseException) -> str:
    """Return what an error of a library says, on one line and never empty."""
    line = " ".join(str(error).split()) or type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in line)


def suggestion(word: str, known: list[str], before: str = "") -> str:
    """Return what follows the name of something unknown: the nearest known word, or all of them.

    >>> suggestion("labelnoise", ["label-noise", "train"], "trainer.")
    "; did you mean 'trainer.label-noise'?"

    Args:
        word: the unknown name.
        known: the names that there are.
        before: stands before the nearest of them, such as the table that it belongs to.
    """
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean '{before}{near[0]}'?"
    shown = [each if len(each) <= LONGEST_WORD else f"{each[:LONGEST_WORD]}..." for each in known]
    more = f" and {len(known) - MOST_WORDS} more" if len(known) > MOST_WORDS else ""
    return f"; choose from {sorted(shown)[:MOST_WORDS]}{more}"
