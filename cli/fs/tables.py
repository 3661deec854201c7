"""Plans, files and snapshots as the guide shows them. Pure, and without a secret in it."""

from collections.abc import Sequence

import msgspec

from api.wire_file import File, S3Object, Snapshot
from cli import render, spec
from cli.fs.plan import Down, Plan, Up

MASK = "*" * 33
_KIB = 1024
_MOST_ROWS = 50
_HEADER = ("FILE", "SIZE", "LABEL")


def size(count: int) -> str:
    """A size as the guide writes it: whole KiB, rounded down."""
    return f"{count // _KIB} KiB"


def plan(found: Plan, directory: str, style: render.Style, *, whole: bool) -> str:
    """What is to be done for one label; without ``whole``, long tables are cut short."""
    up, down = found.uploads, found.downloads
    blocks = [
        _files("uploaded:", up, found, whole=whole, style=style) or "No files will be uploaded\n",
        _files(f"downloaded to directory: {directory}", down, found, whole=whole, style=style)
        or "No files will be downloaded\n",
        _files("replaced at the server:", found.replace_remote, found, whole=whole, style=style),
        _files(
            f"replaced at directory: {directory}",
            found.replace_local,
            found,
            whole=whole,
            style=style,
        ),
    ]
    label = render.printable(found.label)
    return f"{label}:\n{'=' * (len(label) + 1)}\n" + "\n".join(filter(None, blocks)) + "\n"


def _files(
    what: str, files: Sequence[Up | Down], found: Plan, *, whole: bool, style: render.Style
) -> str:
    if not files:
        return ""
    shown = files if whole else files[:_MOST_ROWS]
    rows = [(file.name, size(file.size), found.label) for file in shown]
    left = len(files) - len(shown)
    rest = f"... and {left} more, --syncplans shows all\n" if left else ""
    return f"These files will be {what}\n" + render.table(_HEADER, rows, style) + rest


def plan_data(found: Plan) -> dict[str, object]:
    """The same for a program."""
    kinds = {
        "upload": found.uploads,
        "download": found.downloads,
        "replaceremote": found.replace_remote,
        "replacelocal": found.replace_local,
    }
    return {
        "label": found.label,
        **{
            kind: [{"name": file.name, "size": file.size} for file in files]
            for kind, files in kinds.items()
        },
    }


def revision(file: File) -> render.Block:
    """Everything about one revision, but the secrets."""
    place = _masked(file.ref.s3object)
    rows: list[render.Row] = [
        ("Filename", file.name),
        ("Id", render.Id(file.fileid)),
        ("ColonyName", file.colonyname),
        ("Added", render.moment(file.added)),
        ("Sequence Number", str(file.sequencenr)),
        ("Label", file.label),
        ("Size", size(file.size)),
        ("Checksum", file.checksum),
        ("Checksum Alg", file.checksumalg),
        ("Protocol", file.ref.protocol),
        ("S3 Endpoint", f"{place.server}:{place.port}" if place.port > 0 else place.server),
        ("S3 TLS", str(place.tls).lower()),
        ("S3 Region", place.region),
        ("S3 Bucket", place.bucket),
        ("S3 Object", place.object),
        ("S3 Accesskey", place.accesskey),
        ("S3 Secretkey", place.secretkey),
        ("Encryption Key", place.encryptionkey),
        ("Encryption Alg", place.encryptionalg),
    ]
    return render.Block(rows=rows)


def revision_data(file: File) -> object:
    """The same for a program; what is masked stays so."""
    ref = msgspec.structs.replace(file.ref, s3object=_masked(file.ref.s3object))
    return spec.plain(msgspec.structs.replace(file, ref=ref))


def _masked(place: S3Object) -> S3Object:
    """A place without its secrets; where there is none, there is no mask either."""
    return msgspec.structs.replace(
        place,
        accesskey=place.accesskey and MASK,
        secretkey=place.secretkey and MASK,
        encryptionkey=place.encryptionkey and MASK,
    )


def snapshot(found: Snapshot, files: Sequence[File]) -> render.Detail:
    """A snapshot and the revisions in it."""
    about: list[render.Row] = [
        ("SnapshotId", render.Id(found.snapshotid)),
        ("ColonyName", found.colonyname),
        ("Label", found.label),
        ("Name", found.name),
        ("Added", render.moment(found.added)),
    ]
    listed = [(f.name, render.Id(f.fileid), render.moment(f.added)) for f in files]
    return render.Detail(
        blocks=(
            render.Block(rows=about),
            render.Block(
                header=("FILENAME", "FILEID", "ADDED"), rows=listed, nothing="No files in snapshot"
            ),
        ),
        data=spec.plain(found),
        ids=(found.snapshotid,),
    )
