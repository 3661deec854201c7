"""Which of several workers does what."""

import pytest

from api.supervise import roles_of
from broker.settings import Role, Settings


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("roles", [frozenset(Role), frozenset({Role.API, Role.TIMER})])
def test_every_role_is_taken_and_only_answering_by_several(
    workers: int, roles: frozenset[Role]
) -> None:
    settings = Settings(redis_url="", server_id="", workers=workers, roles=roles)

    taken = [role for at in range(workers) for role in roles_of(settings, at)]

    assert sorted(taken) == sorted([Role.API] * workers + list(roles - {Role.API}))


def test_what_catches_up_is_not_beside_the_timer() -> None:
    settings = Settings(redis_url="", server_id="", workers=2)

    assert roles_of(settings, 0) == {Role.API, Role.TIMER}
    assert Role.PROJECTOR in roles_of(settings, 1)
