"""The options and the settings of ``colonies fs`` are those that the guide and v1.9.12 have."""

import pytest

from cli.config import resolve
from cli.fs.settings import S3Settings
from cli.profile import ProfileStore
from tests.cli.conftest import Shell

OPTIONS = {
    "sync": "--label -l --dir -d --driver --dry --yes --keeplocal --syncplans --quite",
    "clean": "--label -l --dir -d --dry --yes --cleanplans --quite",
    "ls": "--label -l",
    "info": "--fileid -i --label -l --name -n",
    "get": "--fileid -i --label -l --name -n --dir -d",
    "remove": "--fileid -i --label -l --name -n --dir -d",
    "label ls": "",
    "label remove": "--label -l --yes",
    "snapshot create": "--label -l --snapshotname -n",
    "snapshot ls": "",
    "snapshot info": "--snapshotid -i --snapshotname -n",
    "snapshot download": "--snapshotid -i --snapshotname -n --dir -d",
    "snapshot remove": "--snapshotid -i --snapshotname -n",
    "snapshot removeall": "--yes",
}


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_is_there(command: str) -> None:
    shown = Shell().ok(f"fs {command} --help", COLUMNS="200").out.replace(",", " ").split()
    assert set(OPTIONS[command].split()) - set(shown) == set()


@pytest.mark.parametrize("region", ["AWS_S3_REGION", "AWS_S3_REGION_KEY"])
def test_both_spellings_of_the_region_are_read(region: str) -> None:
    environ = {
        "AWS_S3_ENDPOINT": "https://s3.example.com",
        "AWS_S3_ACCESSKEY": "access",
        "AWS_S3_SECRETKEY": "secret",
        "AWS_S3_BUCKET": "bucket",
        "AWS_S3_TLS": "true",
        "AWS_S3_SKIPVERIFY": "true",
        region: "eu-north-1",
        "COLONIES_HOME": "/nowhere",
    }
    settings = S3Settings.of(resolve({}, environ, ProfileStore(environ).read()))
    assert (settings.url, settings.signing_region) == ("https://s3.example.com:443", "eu-north-1")
    assert (settings.bucket, settings.verify) == ("bucket", False)
