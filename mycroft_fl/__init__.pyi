"""Types of the library's face; `__init__.py` says where each name stands."""

from clients.answering.policy import Policy as Policy
from clients.answering.private_records import PrivateRecords as PrivateRecords
from clients.answering.vault import Vault as Vault
from mycroft_fl.examples import Examples as Examples
from mycroft_fl.face.matching import OrthogonalMatchingPursuit as OrthogonalMatchingPursuit
from mycroft_fl.face.matching import facility_location as facility_location
from mycroft_fl.face.matching import orthogonal_matching_pursuit as orthogonal_matching_pursuit
from mycroft_fl.face.picks import Picks as Picks
from mycroft_fl.face.picks import select as select
from mycroft_fl.protocol.messages import Request as Request
from simulations.face.rank import rank as rank
from simulations.face.results import RunResult as RunResult
from simulations.face.results import read_run as read_run
from simulations.face.simulate import simulate as simulate
from simulations.face.studies import StudyResult as StudyResult
from simulations.face.studies import read_study as read_study
from simulations.face.studies import study as study

__all__: list[str]
__version__: str
