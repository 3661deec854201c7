"""The Python SDK's calls about files and snapshots, unmodified, as far as they need no S3."""

import importlib
from typing import Any

import pytest

from tests.acceptance.test_pycolonies import Story, story

pycolonies: Any = importlib.import_module("pycolonies")  # it is untyped
model: Any = importlib.import_module("model")  # the SDK's own
__all__ = ["story"]  # the fixture


def add(story: Story, label: str, name: str, size: int = 1) -> Any:  # noqa: ANN401 - the SDK's
    """What the SDK says of a file when it has uploaded it."""
    where = model.S3Object(
        server="localhost",
        port=9000,
        tls=False,
        accesskey="",
        secretkey="",
        region="",
        encryptionkey="",
        encryptionalg="",
        object=f"{label}{name}{size}",
        bucket="b",
    )
    given = model.File(
        fileid="",
        colonyname=story.colony,
        label=label,
        name=name,
        size=size,
        sequencenr=1,
        checksum=f"c{size}",
        checksumalg="SHA256",
        ref=model.Reference(protocol="s3", s3object=where),
    )
    message = {"msgtype": "addfilemsg", "file": given.model_dump(by_alias=True)}
    return story.sdk._Colonies__rpc(message, story.user)


def remove(story: Story, label: str, name: str) -> None:
    """What the SDK says when it has deleted the object of a file."""
    story.sdk._Colonies__remove_file(label, None, name, story.colony, story.user)


def test_file_is_found_by_name_and_by_id(story: Story) -> None:
    first, second = add(story, "/data", "x", 1), add(story, "/data", "x", 2)

    def look(**asked: Any) -> Any:  # noqa: ANN401 - the SDK's
        return story.sdk.get_file(story.colony, story.executor, **asked)

    assert look(label="/data", filename="x") == [second]
    assert look(label="/data", filename="x", latest=False) == [second, first]
    assert look(fileid=first["fileid"]) == [first]
    (listed,) = story.sdk.get_files("/data", story.colony, story.user)
    assert (listed["size"], listed["s3filename"]) == (2, "/datax2")
    with pytest.raises(Exception, match="Failed to get file"):
        look(label="/data", filename="nope")


def test_labels_are_found_by_those_below(story: Story) -> None:
    add(story, "/deep/er", "x")
    add(story, "/deeper", "x")

    def names(**asked: Any) -> set[str]:  # noqa: ANN401 - the SDK's
        found = story.sdk.get_file_labels(story.colony, story.user, **asked)
        return {each["name"] for each in found}

    assert names() == names(name="/deep") == {"/deep/er", "/deeper"}
    assert names(name="/deep", exact=True) == {"/deep/er"}


def test_snapshot_holds_what_is_removed_afterwards(story: Story) -> None:
    kept = add(story, "/data/sub", "x")
    made = story.sdk.create_snapshot(story.colony, "/data", "before", story.user)
    remove(story, "/data/sub", "x")

    assert made["fileids"] == [kept["fileid"]]
    by_name = story.sdk.get_snapshot_by_name(story.colony, "before", story.executor)
    by_id = story.sdk.get_snapshot_by_id(story.colony, made["snapshotid"], story.executor)
    assert by_name == by_id == made
    assert story.sdk.get_snapshots(story.colony, story.user) == [made]
    assert story.sdk.get_file(story.colony, story.user, fileid=kept["fileid"]) == [kept]
    assert story.sdk.get_files("/data/sub", story.colony, story.user) == []
    with pytest.raises(Exception, match="already exists"):
        story.sdk.create_snapshot(story.colony, "/data", "before", story.user)
