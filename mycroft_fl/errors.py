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

Every message says what was wrong, what would be right, and what to do, in one to three lines.
"""

import difflib


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


def one_line(error: BaseException) -> str:
    """Return what an error of a library says, on one line and never empty."""
    return " ".join(str(error).split()) or type(error).__name__


def suggestion(word: str, known: list[str]) -> str:
    """Return what follows the name of something unknown: the nearest known word, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; choose from {sorted(known)}"
