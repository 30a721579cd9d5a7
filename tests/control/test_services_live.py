"""A service on a real cluster, whose nodes the controller looks after: nobody does anything here but break things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from control_host import Host, host

from skyrig.control import client, folder, table
from skyrig.control.services import wards as services
from skyrig.serve.state import ServiceStatus
from skyrig.standing import holder

pytestmark = pytest.mark.e2e

NAME = "web"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A service of two replicas that is READY."""
    with host(tmp_path_factory.mktemp("serving")) as person:
        person.up(NAME, replicas=2)
        person.until(lambda: person.ready(NAME) == 2, "two replicas are READY", NAME)
        yield person


def test_a_service_that_is_up_is_known_and_its_controller_is_there(serving: Host) -> None:
    ward = serving.until(lambda: (now := table.ward(NAME)) and now.status == ServiceStatus.READY and now, "it is noted")
    assert (ward.version, ward.applied, ward.alone) == (1, 1, True)
    assert client.state().alive
    assert 'skyrig_control_wards{kind="service",status="READY"} 1' in client.metrics()
    assert serving.get(serving.endpoint(NAME)).startswith("v1 ")


def test_a_lost_node_comes_back_under_its_own_name_and_the_other_replica_stays(serving: Host) -> None:
    others, lost = serving.pid(NAME, "n0"), serving.kill(NAME, "n1")
    where = serving.endpoint(NAME)
    serving.until(lambda: serving.pid(NAME, "n1") not in (0, lost), "n1 is back", NAME)
    serving.until(lambda: serving.ready(NAME) == 2, "both are READY again", NAME)
    assert serving.pid(NAME, "n0") == others
    assert serving.endpoint(NAME) == where
    assert serving.get(where).startswith("v1 ")


def test_a_lost_head_comes_back_with_the_service_at_the_same_place(serving: Host) -> None:
    where, lost = serving.endpoint(NAME), serving.kill(NAME, "n0")
    serving.until(lambda: serving.pid(NAME, "n0") not in (0, lost), "n0 is back", NAME)
    serving.until(lambda: serving.get(where).startswith("v1 "), "it answers at the same place", NAME)
    serving.until(lambda: serving.ready(NAME) == 2, "both are READY again", NAME)


def test_what_is_to_go_goes_and_leaves_nothing(serving: Host) -> None:
    services.end(NAME)
    client.poke(NAME)
    serving.until(lambda: serving.gone(NAME), "nothing is left", NAME)
    serving.until(lambda: serving.controller() == 0, "the controller, which has nothing to do any more, has left", NAME)
    serving.until(lambda: holder(folder.standing().watch) is None, "so has its watch")
