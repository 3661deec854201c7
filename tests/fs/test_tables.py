"""What is shown of files, and what is not."""

from typing import Any, cast

import pytest

from api.wire_file import File, Reference, S3Object
from cli import render
from cli.fs import tables

SECRETS = {
    "S3 Accesskey": "accesskey",
    "S3 Secretkey": "secretkey",
    "Encryption Key": "encryptionkey",
}


@pytest.mark.parametrize("row", SECRETS)
def test_a_secret_is_masked_and_where_there_is_none_nothing_is_shown(row: str) -> None:
    place = S3Object(**cast("Any", {SECRETS[row]: "secret"}))
    file = File(name="n", ref=Reference(protocol="s3", s3object=place))

    shown = dict(cast("Any", tables.revision(file).rows))
    said = cast("dict[str, Any]", tables.revision_data(file))["ref"]["s3object"]

    for name, field in SECRETS.items():
        expected = tables.MASK if name == row else ""
        assert (shown[name], said[field]) == (expected, expected)
    assert "secret" not in render.blocks([tables.revision(file)], render.Style()).split()
