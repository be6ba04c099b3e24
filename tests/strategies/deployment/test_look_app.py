"""The ServerApp of a look, away from a federation."""

from types import SimpleNamespace

import pytest

from mycroft_fl.errors import InputError
from strategies.deployment import look_app


@pytest.mark.unchecked
def test_a_folder_without_a_plan_is_refused_before_anyone_is_asked(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    context = SimpleNamespace(run_config={"run": str(tmp_path / "run")})
    with pytest.raises(InputError, match="is no look of `mycroft-fl trainer look`"):
        look_app.main(grid=None, context=context)
    assert list((tmp_path / "run").iterdir()) == []
