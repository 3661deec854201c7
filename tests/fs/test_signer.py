"""Our signatures are those of botocore, byte by byte."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore import auth
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from cli.fs.settings import S3Settings
from cli.fs.signer import Signer

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SECRET = quote("x/+= y")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


def settings(*, port: int, tls: bool) -> S3Settings:
    return S3Settings(
        host="s3.example.org",
        port=port,
        access_key="ours",
        secret_key=SECRET,
        bucket="b",
        tls=tls,
    )


def botocores(method: str, url: str, given: dict[str, str]) -> str:
    """The header that botocore makes, of the same moment."""
    credentials: Any = Credentials("ours", SECRET)
    signer: Any = S3SigV4Auth(credentials, "s3", "us-east-1")
    request: Any = AWSRequest(
        method=method, url=url, headers={**given, "x-amz-content-sha256": SHA256}
    )

    def payload(*_: object) -> str:
        return SHA256

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
        patched.setattr(S3SigV4Auth, "payload", payload)
        signer.add_auth(request)
    return str(request.headers["Authorization"])


@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "HEAD"]),
    key=TEXT,
    query=st.dictionaries(st.sampled_from(["partNumber", "uploadId", "a"]), TEXT),
    headers=st.sampled_from(
        [{}, {"range": "bytes=0-9"}, {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}]
    ),
    store=st.builds(settings, tls=st.booleans(), port=st.sampled_from([80, 443, 9000])),
)
def test_signatures_are_botocores(
    method: str, key: str, query: dict[str, str], headers: dict[str, str], store: S3Settings
) -> None:
    path = f"/b/{quote(key, safe='/~')}"
    asked = urlencode(sorted(query.items()), quote_via=quote)
    signer = Signer(store)
    ours = signer.headers(method, path, asked, sha256=SHA256, headers=headers, now=NOW)
    url = f"{store.url}{path}?{asked}" if asked else store.url + path
    assert ours["authorization"] == botocores(method, url, headers)


def test_the_next_day_has_another_key() -> None:
    signer = Signer(settings(port=9000, tls=False))
    days = [NOW, NOW.replace(day=25), NOW]
    made = [
        signer.headers("GET", "/b/k", "", sha256=SHA256, headers={}, now=day)["authorization"]
        for day in days
    ]
    assert made[0] == made[2] != made[1]
