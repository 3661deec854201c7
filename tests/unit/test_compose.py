"""compose.yaml is a valid Compose file and starts what the settings of the server promise.

No container engine runs with these tests. They check the file against the schema of the Compose
Specification, and start each role with its command, settings and health check, but as a process on
this machine; that the images are built and start is not shown here.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft201909Validator

from broker.settings import Durability, Role, Settings
from tests.contract.server import running_server

ROOT = Path(__file__).parents[2]
SCHEMA = Path(__file__).parent / "schemas" / "compose-spec.json"
# ${NAME}, ${NAME:-default} and ${NAME:?what to do}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}")
ROLES = ("api", "projector", "timer", "archiver")
ARCHIVE_URL = "postgresql://nobody@localhost:1/none"
SERVER_ID = "ab" * 32
PORT = "50080"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"]


def interpolated(value: object, **given: str) -> str:
    """A value with its variables replaced, as Compose does it."""
    return VARIABLE.sub(
        lambda found: given.get(found["name"]) or found["default"] or "", str(value)
    )


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """The variables a service is started with by somebody who set what has no default."""
    variables = service["environment"].items()
    said = {"COLONIES_SERVER_ID": SERVER_ID, "COLONIES_ARCHIVE_URL": ARCHIVE_URL}
    return {name: interpolated(value, **said) for name, value in variables}


def problems(document: dict[str, Any]) -> list[str]:
    validator = Draft201909Validator(json.loads(SCHEMA.read_text("utf-8")))
    found = validator.iter_errors(document)  # pyright: ignore[reportUnknownMemberType] - its deprecated overload is untyped
    return [f"{error.json_path}: {error.message}" for error in found]


def test_file_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    assert problems(compose) == []


def test_schema_refuses_what_compose_would_refuse(compose: dict[str, Any]) -> None:
    assert problems(compose | {"services": {"api": {"image": "x", "comand": "typo"}}})


def test_services_refer_only_to_services_and_volumes_that_exist(compose: dict[str, Any]) -> None:
    services, volumes = compose["services"], compose["volumes"]
    needed = {name for each in services.values() for name in each.get("depends_on", {})}
    mounted = {v.split(":")[0] for each in services.values() for v in each.get("volumes", [])}

    assert needed <= services.keys()
    assert mounted == volumes.keys()


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_started_with_settings_the_server_reads(
    services: dict[str, Any], role: str
) -> None:
    service = services[role]
    environment = environment_of(service)
    settings = Settings.from_env(environment)

    assert service["command"] == ["server", "start", "--role", Role(role)]
    assert environment.keys() <= settings.to_env().keys()
    assert (settings.server_id, settings.durability) == (SERVER_ID, Durability.ALWAYS)
    assert settings.redis_url.startswith("redis://valkey:6379")


@pytest.mark.real
@pytest.mark.parametrize("role", ROLES)
async def test_role_starts_and_is_healthy(
    services: dict[str, Any], role: str, redis_url: str
) -> None:
    service = services[role]
    here = {"COLONIES_REDIS_URL": redis_url, "COLONIES_SERVER_PORT": "0", "COLONIES_WORKERS": "1"}
    start = ("-c", "from cli.app import main; main()", *service["command"])
    *_, code = service["healthcheck"]["test"]

    async with running_server(environment_of(service) | here, start) as url:
        check = code.replace(f"http://localhost:{PORT}", url)
        asked = await asyncio.create_subprocess_exec(sys.executable, "-c", check)

        assert await asked.wait() == 0


def test_every_role_of_the_server_is_started(services: dict[str, Any]) -> None:
    assert set(Role) <= services.keys()


def test_store_keeps_every_acknowledged_write(services: dict[str, Any]) -> None:
    command = services["valkey"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--hash-max-listpack-value"] == "4096"
    assert options["--hash-max-listpack-entries"] == "512"
    assert services["valkey"]["volumes"] == ["valkey-data:/data"]


def test_api_is_published_on_the_port_it_listens_on(services: dict[str, Any]) -> None:
    published, listening = interpolated(services["api"]["ports"][0]).split(":")

    assert listening == services["api"]["environment"]["COLONIES_SERVER_PORT"]
    assert published == listening


def test_every_service_has_a_health_check(services: dict[str, Any]) -> None:
    assert [name for name, each in services.items() if "test" not in each["healthcheck"]] == []


@pytest.mark.parametrize("role", ROLES)
def test_health_is_asked_on_the_port_a_role_listens_on(services: dict[str, Any], role: str) -> None:
    assert services[role]["environment"]["COLONIES_SERVER_PORT"] == PORT
    assert f"http://localhost:{PORT}/health" in services[role]["healthcheck"]["test"][-1]


def test_archive_and_files_are_optional(services: dict[str, Any]) -> None:
    profiles = {name: each["profiles"] for name, each in services.items() if "profiles" in each}

    assert profiles == {"archiver": ["archive"], "postgres": ["archive"], "s3": ["files"]}


def test_images_of_others_are_pinned(services: dict[str, Any]) -> None:
    images = [each["image"] for each in services.values() if "build" not in each]

    assert all(":" in image and not image.endswith(":latest") for image in images), images


def test_image_is_built_from_files_that_are_here() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    copied = [
        source
        for line in dockerfile.splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    ]

    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert 'ENTRYPOINT ["colonies"]' in dockerfile
