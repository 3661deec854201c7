"""``colonies blueprint doctor``: is everything as blueprints say it should be."""

from typing import Annotated

from cyclopts import Parameter

from api import wire_process
from api.wire_blueprint import Blueprint, ReconcileBlueprintMsg, UpdateBlueprintMsg
from cli import blueprintcheck, blueprints, render
from cli.blueprintcheck import Finding, Surroundings
from cli.client import Client
from cli.errors import Exit
from cli.options import NONE, Format, Options
from cli.session import Session

Name = Annotated[str, Parameter(name=("--name",))]


async def doctor(
    name: Name = "",
    *,
    fix: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NONE,
) -> int:
    """Check a blueprint, or all: does somebody reconcile it, and is everything as it should be.

    The exit code is 1 when something is wrong and was not mended.

    Args:
        name: name of the blueprint.
        fix: bring back crons that are missing, and have reconciled what needs it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        found = (
            [await blueprints.named(client, session.colony, name)]
            if name
            else await blueprints.listed(client, session.colony)
        )
        around = Surroundings(
            kinds=blueprints.by_kind(await blueprints.definitions(client, session.colony)),
            executors=await blueprints.executors(client, session.colony),
            crons=await blueprints.crons(client, session.colony),
        )
        findings = {each.metadata.name: blueprintcheck.check(each, around) for each in found}
        mended = [await _mend(session, client, each, findings) for each in found] if fix else []
        _report(session, findings, fix=fix)
        issues = sum(each.is_issue for checks in findings.values() for each in checks)
        return Exit.FAILED if issues > sum(mended) else Exit.DONE


async def _mend(
    session: Session, client: Client, blueprint: Blueprint, findings: dict[str, list[Finding]]
) -> int:
    """Do what may help; how many issues that is about."""
    name = blueprint.metadata.name
    rebuilt = [each for each in findings[name] if each.rebuilt]
    mended = [each for each in findings[name] if each.mended]
    if rebuilt:
        await client.ask(UpdateBlueprintMsg(blueprint=blueprint), Blueprint)
        session.out.say("Reconciliation cron is back", BlueprintName=name)
    if mended:
        message = ReconcileBlueprintMsg(namespace=session.colony, name=name)
        process = await client.ask(message, wire_process.Process)
        session.out.say(
            "Submitted reconciliation process", BlueprintName=name, ProcessId=process.processid
        )
    return len(rebuilt) + len(mended)


_HINTS = """
Hints:
  - Run with --fix to automatically fix issues where possible
  - Check reconciler logs: colonies blueprint log --name <blueprint>
  - Force reconciliation:  colonies blueprint reconcile --name <blueprint> --force
  - List all executors:    colonies executor ls
"""


def _report(session: Session, findings: dict[str, list[Finding]], *, fix: bool) -> None:
    if session.out.format is not Format.TABLE:
        data = [
            {"blueprint": name, "level": each.level, "text": each.text}
            for name, checks in findings.items()
            for each in checks
        ]
        session.out.show(render.Detail(blocks=(), data=data, ids=list(findings)))
        return
    if not findings:
        session.out.say("No blueprints found")
        return
    for name, checks in findings.items():
        lines = (f"  [{each.level}] {each.text}\n" + _below(each) for each in checks)
        session.out.write(f"=== {name} ===\n{''.join(lines)}")
    issues = sum(each.is_issue for checks in findings.values() for each in checks)
    session.out.write(f"\nFound {issues} issue(s)\n" if issues else "\nNo issues found\n")
    if issues and not fix:
        session.out.write(_HINTS)


def _below(finding: Finding) -> str:
    return "".join(f"          {hint}\n" for hint in finding.hints)
