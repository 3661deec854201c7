"""Every command: what it does, what it prints for people and programs, its likely mistake."""

import json
import re
import shlex
from pathlib import Path
from typing import cast

import pytest
import yaml

from tests.cli.conftest import Dev, Ran, Shell, new_key

NOWHERE = "f" * 64


def submit(shell: Shell, options: str = "") -> str:
    return shell.ok(f"function exec --func helloworld --targettype cli {options}").id


def assign(worker: Shell) -> str:
    return worker.ok("process assign --timeout 5").id


def rows(ran: Ran) -> list[list[str]]:
    """The cells of a table drawn with ASCII, header first."""
    lines = [line for line in ran.out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def labels(ran: Ran) -> list[str]:
    return [row[0] for row in rows(ran)]


def said(ran: Ran) -> str:
    """What was said on stderr, without the seconds since the start."""
    return re.sub(r"\[\d{4}\]", "[....]", ran.err)


# ---------------------------------------------------------------- colonies


def test_a_colony_is_added_listed_and_removed(shell: Shell) -> None:
    owner = new_key()["id"]
    ran = shell.ok(f"colony add --name zoo --colonyid {owner}")
    assert ran.id == "zoo"
    assert said(ran) == f"INFO[....] Colony added{' ' * 32} ColonyID={owner} ColonyName=zoo\n"
    assert ["zoo"] in rows(shell.ok("colony ls"))
    assert {"colonyid": owner, "name": "zoo"} in cast(
        "list[object]", shell.ok("colony ls --json").json
    )
    shell.ok("colony remove --name zoo", stdin="YES\n")
    assert ["zoo"] not in rows(shell.ok("colony ls"))


def test_removing_a_colony_asks_first(shell: Shell, colony: Shell) -> None:
    name = colony.environ["COLONIES_COLONY_NAME"]
    for answer in ("", "yes\n", "no\n"):
        ran = shell(f"colony remove --name {name}", stdin=answer)
        assert ran.code == 1
        assert "This operation cannot be undone! (YES,no)" in ran.err
        assert "nothing was changed" in ran.err
    assert [name] in rows(shell.ok("colony ls"))


def test_a_colony_of_that_name_already_there_is_refused(shell: Shell) -> None:
    ran = shell(f"colony add --name dev --colonyid {new_key()['id']}")
    assert (ran.code, ran.out) == (1, "")
    error, hint = ran.err.splitlines()
    assert error == "error: A Colony with name <dev> already exists"
    assert hint.startswith("hint: names and ids are unique")


def test_statistics_have_the_rows_of_the_guide(colony: Shell) -> None:
    submit(colony)
    ran = colony.ok("colony stats")
    assert ran.out.startswith("Process statistics:\n+-")
    assert ["Executors", "1"] in rows(ran)
    assert ["Waiting processes", "1"] in rows(ran)
    assert cast("dict[str, int]", colony.ok("colony stats --json").json)["waitingprocesses"] == 1


def test_statistics_of_another_colony_by_name(shell: Shell, colony: Shell) -> None:
    name = colony.environ["COLONIES_COLONY_NAME"]
    assert colony.ok(f"colony stats --name {name}").out == colony.ok("colony stats").out
    assert shell(f"colony stats --name {name}").code == 1


def test_a_member_can_check_the_colony(colony: Shell) -> None:
    assert colony.ok("colony check").id == colony.environ["COLONIES_COLONY_NAME"]
    stranger = colony.with_environ(COLONIES_PRVKEY=new_key()["prvkey"])
    ran = stranger("colony check")
    assert ran.code == 1
    assert "not a member" in ran.err
    assert f"signed as a user or an executor with id {stranger.ok('key id -o id').id}" in ran.err
    assert "(environment COLONIES_PRVKEY)" in ran.err


def test_a_colony_can_be_handed_over(colony: Shell) -> None:
    heir = new_key()
    colony.ok(f"colony chid --colonyid {heir['id']}")
    assert colony("process pause").code == 1
    colony.with_environ(COLONIES_COLONY_PRVKEY=heir["prvkey"]).ok("process pause")


def test_settings_of_a_colony_are_shown_and_changed(colony: Shell) -> None:
    assert rows(colony.ok("colony settings"))[:3] == [
        ["requirenonce", "false"],
        ["logretentionseconds", "as the server has it"],
        ["logretentionbytes", "as the server has it"],
    ]
    colony.ok("colony settings --requirenonce --filerevisions 10 --filerevisionseconds 0")
    colony.ok("colony settings --logretentionseconds 60")
    shown = colony.ok("colony settings --json").json
    assert shown == {
        "requirenonce": True,
        "logretentionseconds": 60,
        "logretentionbytes": -1,
        "successretentionseconds": -1,
        "failedretentionseconds": -1,
        "cancelledretentionseconds": -1,
        "filerevisions": 10,
        "filerevisionseconds": 0,
    }
    back = rows(colony.ok("colony settings --no-requirenonce --filerevisions -1"))
    assert ["requirenonce", "false"] in back
    assert ["filerevisions", "as the server has it"] in back
    assert ["filerevisionseconds", "without limit"] in back


def test_only_the_owner_changes_settings_and_only_to_what_there_is(colony: Shell) -> None:
    stranger = colony.with_environ(COLONIES_COLONY_PRVKEY=new_key()["prvkey"])
    assert "owner" in stranger("colony settings --requirenonce").err
    assert "not -2" in colony("colony settings --filerevisions -2").err
    assert rows(colony.ok("colony settings"))[0] == ["requirenonce", "false"]


# ---------------------------------------------------------------- users


def test_a_user_is_added_shown_and_removed(colony: Shell) -> None:
    user = new_key()["id"]
    ran = colony.ok(f"user add --name eva --email e@x.org --phone=+46 --userid {user}")
    assert said(ran).startswith("INFO[....] User added")
    assert f"ColonyName={colony.environ['COLONIES_COLONY_NAME']} Email=e@x.org Phone=+46" in ran.err
    assert rows(colony.ok("user ls"))[0] == ["USERNAME", "EMAIL", "PHONE"]
    assert ["eva", "e@x.org", "+46"] in rows(colony.ok("user ls"))
    shown = colony.ok("user get --name eva")
    assert labels(shown) == ["Name", "ID", "ColonyName", "Email", "Phone"]
    assert colony.ok("user get eva -o id").id == user
    assert "User removed" in colony.ok("user remove --name eva --yes").err
    assert "eva" not in colony.ok("user ls").out


def test_an_empty_mail_address_is_one(colony: Shell) -> None:
    user = new_key()["id"]
    colony.ok(f'user add --name="myuser" --email="" --phone="" --userid={user}')
    assert ["myuser", "", ""] in rows(colony.ok("user ls"))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("user get --name nobody", "user is nil"),
        ("user add --name johan --userid USER", "already exists"),
        ("user remove --name nobody --yes", "User with name <nobody> not found"),
    ],
)
def test_mistakes_with_users_are_refused(colony: Shell, line: str, text: str) -> None:
    ran = colony(line.replace("USER", new_key()["id"]))
    assert (ran.code, ran.out) == (1, "")
    assert text in ran.err


def test_a_user_moves_to_another_key(colony: Shell) -> None:
    new = new_key()
    colony.ok(f"user chid --userid {new['id']}")
    assert colony("user ls").code == 1
    assert "johan" in colony.with_environ(COLONIES_PRVKEY=new["prvkey"]).ok("user ls").out


# ---------------------------------------------------------------- executors

SPEC = {
    "executorname": "ml-executor",
    "executortype": "ml",
    "location": {"long": 65.6, "lat": 22.1, "desc": "ICE Datacenter"},
    "capabilities": {
        "hardware": {
            "model": "AMD Ryzen 9 5950X 16-Core Processor",
            "cpu": "4000m",
            "mem": "16Gi",
            "storage": "100Ti",
            "gpu": {"name": "nvidia_3080ti", "count": 1},
        },
        "software": {"name": "colonyos/ml:latest", "type": "k8s", "version": "latest"},
    },
}


def test_an_executor_is_added_from_the_spec_of_the_guide(colony: Shell, tmp_path: Path) -> None:
    (tmp_path / "executor.json").write_text(json.dumps(SPEC))
    ran = colony.ok(
        f"executor add --spec {tmp_path}/executor.json --executorid {new_key()['id']} --approve"
    )
    assert "Approving Executor" in ran.err
    assert "ExecutorName=ml-executor ExecutorType=ml" in ran.err
    assert ["ml-executor", "ml", "ICE Datacenter"] in rows(colony.ok("executor ls"))
    shown = colony.ok("executor get --name ml-executor")
    for line in (
        ["State", "Approved"],
        ["RequireFuncRegistration", "False"],
        ["LastHeardFrom", "-"],
        ["Name", "ICE Datacenter"],
        ["Longitude", "65.600000"],
        ["Latitude", "22.100000"],
        ["Description", "ICE Datacenter"],
        ["Model", "AMD Ryzen 9 5950X 16-Core Processor"],
        ["Memory", "16Gi"],
        ["GPU", "nvidia_3080ti"],
        ["GPUs", "1"],
        ["Version", "latest"],
    ):
        assert line in rows(shown)
    assert shown.out.endswith("Functions:\nNo functions found\n")


def test_the_place_of_an_executor_is_looked_up(colony: Shell) -> None:
    spec = json.dumps({**SPEC, "location": None, "locationname": "lulea"})
    colony.ok(f"executor add --spec '{spec}' --executorid {new_key()['id']}")
    assert ["Longitude", "n/a"] in rows(colony.ok("executor get ml-executor"))
    colony.ok("location add --name lulea --desc 'by the sea' --long 22.13 --lat=-65.6")
    for command in ("executor get ml-executor", "executor ls --full --all"):
        shown = rows(colony.ok(command))
        assert ["Latitude", "-65.600000"] in shown
        assert ["Description", "by the sea"] in shown


def test_a_place_that_is_known_already_stays_as_it_is(colony: Shell) -> None:
    colony.ok("location add --name 'ICE Datacenter' --long 1 --lat 2")
    ran = colony.ok(f"executor add --spec '{json.dumps(SPEC)}' --executorid {new_key()['id']}")
    assert "The directory of locations stays as it is" in ran.err
    assert ["Longitude", "1.000000"] in rows(colony.ok("executor get ml-executor"))


def test_flags_go_before_the_spec(colony: Shell) -> None:
    options = f"--name n --type t --executorid {new_key()['id']}"
    ran = colony.ok(f"executor add --spec '{json.dumps(SPEC)}' {options}")
    assert "ExecutorName=n ExecutorType=t" in ran.err


def test_an_executor_needs_a_name_and_a_type(colony: Shell) -> None:
    ran = colony(f"executor add --executorid {NOWHERE} --type t")
    assert ran.code == 2
    assert "needs a name and a type" in ran.err


def test_an_executor_is_approved_rejected_and_removed(colony: Shell) -> None:
    colony.ok(f"executor add --executorid {new_key()['id']} --name n --type t")

    def state() -> str:
        return next(row[2] for row in rows(colony.ok("executor ls --all")) if row[0] == "n")

    assert state() == "Pending"
    for command, text, after in (
        ("approve", "Executor approved", "Approved"),
        ("reject", "Executor rejected", "Rejected"),
        ("remove", "Executor removed", "Unregistered"),
    ):
        ran = colony.ok(f"executor {command} --name n")
        assert said(ran).startswith(f"INFO[....] {text} ")
        assert state() == after
    assert "n" not in labels(colony.ok("executor ls"))


@pytest.mark.parametrize("command", ["approve", "reject", "remove", "get"])
def test_an_unknown_executor_is_refused(colony: Shell, command: str) -> None:
    ran = colony(f"executor {command} --name nobody")
    assert ran.code == 1
    assert "executor is nil" in ran.err


def test_executors_are_filtered(colony: Shell) -> None:
    colony.ok(f"executor add --executorid {new_key()['id']} --name other --type ml --approve")
    assert colony.ok("executor ls --type ml -o id").id == "other"
    assert colony.ok("executor ls --filter work -o id").id == "worker"
    assert colony.ok("executor ls --location nowhere -o json").json == []
    assert colony.ok("executor ls --full").out.count("Executor:\n") == 2


def test_an_executor_is_created_with_a_private_key_file(colony: Shell, tmp_path: Path) -> None:
    line = f"executor create --keypath {tmp_path}/key --idpath {tmp_path}/id --name n --type t"
    colony.ok(f"{line} --approve")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    found = colony.ok("executor get n -o id").id
    assert (tmp_path / "id").read_text() == found + "\n"
    again = colony(line)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_an_executor_moves_to_another_key(colony: Shell, worker: Shell) -> None:
    new = new_key()
    worker.ok(f"executor chid --executorid {new['id']}")
    assert colony.ok("executor get worker -o id").id == new["id"]


# ---------------------------------------------------------------- functions


def test_a_spec_is_submitted_from_a_file_from_stdin_and_as_it_is(
    colony: Shell, tmp_path: Path
) -> None:
    text = '{"conditions": {"executortype": "cli"}, "funcname": "helloworld"}'
    (tmp_path / "spec.json").write_text(text)
    first = colony.ok(f"function submit --spec {tmp_path}/spec.json")
    assert said(first) == f"INFO[....] Process submitted{' ' * 27} ProcessId={first.id}\n"
    second = colony.ok("function submit --spec -", stdin=text).id
    third = colony.ok(f"function submit --spec '{text}' --label mine").id
    assert colony.ok("process psw -o id").out.split() == [first.id, second, third]
    assert colony.ok("process psw --label mine -o id").id == third


def test_everything_of_exec_arrives(colony: Shell) -> None:
    process = submit(
        colony,
        "--args a,2 --kwargs url:http://x:1 --env A=b=c --label l --maxretries 3 --priority 2",
    )
    spec = cast("dict[str, dict[str, object]]", colony.ok(f"process get {process} --json").json)[
        "spec"
    ]
    assert spec["args"] == ["a", "2"]
    assert spec["kwargs"] == {"url": "http://x:1"}
    assert spec["env"] == {"A": "b=c"}
    assert (spec["label"], spec["maxretries"], spec["priority"]) == ("l", 3, 2)


@pytest.mark.parametrize("target", ["worker", "WORKER_ID"])
def test_a_function_can_be_meant_for_one_executor(
    colony: Shell, worker: Shell, target: str
) -> None:
    name = colony.environ.get(target, target)
    process = colony.ok(f"function exec --func f --targetid {name}").id
    shown = colony.ok(f"process get {process}")
    assert ["ExecutorNames", "worker"] in rows(shown)
    assert assign(worker) == process


def test_exec_without_a_target_is_a_usage_error(colony: Shell) -> None:
    ran = colony("function exec --func f")
    assert (ran.code, "--targettype" in ran.err) == (2, True)


def test_waiting_prints_the_output(colony: Shell, worker: Shell) -> None:
    process = submit(colony)
    worker.ok(f"process close -p {assign(worker)} --out Hej,da")
    assert colony.ok(f"process get {process} --wait --out").out == "Hej da\n"
    assert cast("dict[str, object]", colony.ok(f"process get {process} --wait --json").json)[
        "out"
    ] == [
        "Hej",
        "da",
    ]


def test_waiting_for_one_that_fails_fails(colony: Shell, worker: Shell) -> None:
    process = submit(colony)
    worker.ok(f"process fail -p {assign(worker)} --errors 'no luck'")
    ran = colony(f"process get {process} --wait")
    assert ran.code == 1
    assert ran.err == f"error: process {process} failed\n  no luck\n"


def test_waiting_ends_when_it_was_told_to(colony: Shell) -> None:
    ran = colony(f"process get {submit(colony)} --wait --within 0.1")
    assert ran.code == 1
    assert "is still waiting after 0.1 s" in ran.err


def test_a_function_is_registered_listed_and_removed(colony: Shell, worker: Shell) -> None:
    function = worker.ok("function register --name worker --func helloworld").id
    shown = colony.ok("function ls")
    assert shown.out.startswith("Function:\n")
    assert labels(shown) == [
        "FuncName",
        "Calls",
        "Served by",
        *(f"{which}{what}Time" for what in ("Wait", "Exec") for which in ("Min", "Max", "Avg")),
    ]
    assert ["Served by", "1 executor"] in rows(shown)
    assert ["FunctionId", function] in rows(colony.ok("executor get worker"))
    worker.ok(f"function remove --functionid {function}")
    assert "No functions found" in colony.ok("function ls").err
    assert colony.ok("function ls --json").json == []


def test_only_an_executor_registers_its_functions(colony: Shell) -> None:
    ran = colony("function register --name worker --func helloworld")
    assert ran.code == 1
    assert "Not allowed" in ran.err


# ---------------------------------------------------------------- processes


def test_a_process_is_followed_through_its_lists(colony: Shell, worker: Shell) -> None:
    process = submit(colony, "--args 10")
    waiting = rows(colony.ok("process psw"))
    assert waiting[0] == ["ID", "FUNCNAME", "ARGS", "KWARGS", "SUBMISSION TIME", "EXECUTOR TYPE"]
    assert waiting[1][:4] == [process, "helloworld", "10", ""]
    ran = worker.ok("process assign")
    assert ran.id == process
    assert said(ran).startswith("INFO[....] Assigned process to executor")
    assert f"ExecutorId={colony.environ['WORKER_ID']} ProcessId={process}" in ran.err
    assert rows(colony.ok("process ps"))[0][4] == "START TIME"
    assert "No waiting processes found" in colony.ok("process psw").err
    ran = worker.ok(f"process close -p {process} --out Hej")
    assert said(ran).startswith("INFO[....] Process closed as Successful")
    assert rows(colony.ok("process pss"))[0][4] == "END TIME"
    assert colony.ok(f"process get -p {process} --out").out == "Hej\n"


def test_a_failed_and_a_cancelled_process_are_listed(colony: Shell, worker: Shell) -> None:
    submit(colony)
    failed = assign(worker)
    ran = worker.ok(f"process fail -p {failed}")
    assert said(ran).startswith("INFO[....] Process closed as Failed")
    cancelled = submit(colony)
    colony.ok(f"process cancel -p {cancelled}")
    assert colony.ok("process psf -o id").id == failed
    assert colony.ok("process psc -o id").id == cancelled
    assert colony.ok("process ls --state cancelled -o id").id == cancelled
    assert ["Errors", "No errors specified"] in rows(colony.ok(f"process get {failed}"))


def test_close_can_fail(colony: Shell, worker: Shell) -> None:
    submit(colony)
    worker.ok(f"process close --failed -p {assign(worker)} --out 'no luck'")
    assert "no luck" in colony.ok(f"process get {colony.ok('process psf -o id').id}").out


def test_the_blocks_of_a_process_are_those_of_the_guide(colony: Shell) -> None:
    shown = colony.ok(f"process get {submit(colony)}")
    captions = [line for line in shown.out.splitlines() if line.endswith(":")]
    assert captions == ["Process:", "FunctionSpec:", "Conditions:", "Attributes:"]
    assert shown.out.endswith("Attributes:\nNo attributes found\n")
    assert ["State", "Waiting"] in rows(shown)
    assert ["Args", "None"] in rows(shown)
    assert ["ProcessingTime", "-"] in rows(shown)


@pytest.mark.parametrize("command", ["psw", "ps", "pss", "psf", "psc"])
def test_an_empty_list_is_an_empty_list(colony: Shell, command: str) -> None:
    assert colony.ok(f"process {command} --json").json == []
    assert colony.ok(f"process {command} -o id").out == ""
    assert yaml.safe_load(colony.ok(f"process {command} -o yaml").out) == []
    ran = colony.ok(f"process {command}")
    assert (ran.out, "processes found" in ran.err) == ("", True)


def test_filters_combine(colony: Shell) -> None:
    process = submit(colony, "--label a")
    submit(colony, "--label b")
    colony.ok("function exec --func other --targettype ml --label a")
    line = "process psw --label a --type cli --initiator johan --func helloworld -i -o id"
    assert colony.ok(line).id == process
    assert rows(colony.ok("process psw --wide --label b"))[1][-2:] == ["johan", "b"]


def test_nothing_to_assign_is_a_failure(worker: Shell) -> None:
    ran = worker("process assign --timeout -1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: No process available for assignment\nhint: ")


@pytest.mark.parametrize("command", ["get", "remove", "cancel", "close", "fail"])
def test_an_unknown_process_is_refused(worker: Shell, command: str) -> None:
    ran = worker(f"process {command} -p {NOWHERE}")
    assert (ran.code, ran.out) == (1, "")
    assert re.search(r"process not found|process is nil", ran.err)


def test_only_the_holder_closes(colony: Shell, worker: Shell) -> None:
    submit(colony)
    ran = colony(f"process close -p {assign(worker)}")
    assert ran.code == 1
    assert "not allowed to close process as successful" in ran.err


def test_a_process_is_removed(colony: Shell) -> None:
    process = submit(colony)
    assert "Process removed" in colony.ok(f"process remove -p {process}").err
    assert colony(f"process get {process}").code == 1


@pytest.mark.parametrize(("option", "left"), [("", 0), ("--waiting", 1), ("--successful", 1)])
def test_all_processes_in_a_state_are_removed(
    colony: Shell, worker: Shell, option: str, left: int
) -> None:
    submit(colony)
    worker.ok(f"process close -p {assign(worker)}")
    submit(colony)
    ran = colony.ok(f"process removeall {option}", stdin="YES\n")
    which = option.removeprefix("--") or "all"
    name = colony.environ["COLONIES_COLONY_NAME"]
    assert f"Are you sure you want to remove {which} processes from Colony <{name}>." in ran.err
    assert f"Deleting all {option.removeprefix('--')} processes".replace("  ", " ") in ran.err
    assert f"Left=0 Removed={2 - left}" in ran.err
    counts = cast("dict[str, int]", colony.ok("colony stats --json").json)
    assert counts["waitingprocesses"] + counts["successfulprocesses"] == left


def test_what_removeall_leaves_is_counted_too(colony: Shell, worker: Shell) -> None:
    submit(colony)
    assign(worker)
    submit(colony)
    ran = colony.ok("process removeall --yes")
    assert "Left=1 Removed=1" in ran.err
    assert "Left are processes that run" in ran.err
    name = colony.environ["COLONIES_COLONY_NAME"]
    again = colony.ok("process removeall --yes --json")
    assert again.json == {"colonyname": name, "removed": 0, "left": 1}


def test_removeall_names_what_removes_the_processes_of_workflows(colony: Shell) -> None:
    colony.ok('workflow submit --spec \'[{"nodename": "n"}]\'')
    ran = colony.ok("process removeall --yes")
    assert "Left=1 Removed=0" in ran.err
    assert "`colonies workflow removeall` removes those of workflows" in ran.err
    colony.ok("workflow removeall --yes")
    again = colony.ok("process removeall --yes --json").json
    assert cast("dict[str, object]", again)["left"] == 0


def test_only_one_state_can_be_removed_at_a_time(colony: Shell) -> None:
    assert colony("process removeall --waiting --failed --yes").code == 2


def test_a_colony_is_paused_and_resumed(colony: Shell, worker: Shell) -> None:
    submit(colony)
    assert "ACTIVE" in colony.ok("process status").err
    colony.ok("process pause")
    assert cast("dict[str, object]", colony.ok("process status --json").json)["ispaused"] is True
    ran = worker("process assign --timeout -1")
    assert (ran.code, "paused" in ran.err) == (1, True)
    colony.ok("process resume")
    assign(worker)


# ---------------------------------------------------------------- attributes, locations, servers


def test_an_attribute_is_added_and_shown(colony: Shell, worker: Shell) -> None:
    submit(colony)
    process = assign(worker)
    attribute = worker.ok(f"attribute add --key mykey --value=-v -p {process}").id
    shown = rows(colony.ok(f"attribute get --attributeid {attribute}"))
    assert shown == [
        ["ID", attribute],
        ["TargetID", process],
        ["AttributeType", "Out"],
        ["Key", "mykey"],
        ["Value", "-v"],
    ]
    assert [attribute, "mykey", "-v", "Out"] in rows(colony.ok(f"process get {process}"))


def test_mistakes_with_attributes_are_refused(colony: Shell, worker: Shell) -> None:
    assert "not running" in worker(f"attribute add --key k --value v -p {submit(colony)}").err
    assert "does not exist" in colony(f"attribute get {NOWHERE}").err


def test_a_location_is_added_shown_and_removed(colony: Shell) -> None:
    colony.ok("location add --name lulea --desc 'ICE Datacenter' --long 22.13 --lat=-65.6")
    assert rows(colony.ok("location ls")) == [
        ["NAME", "DESCRIPTION", "LONG", "LAT"],
        ["lulea", "ICE Datacenter", "22.1300", "-65.6000"],
    ]
    assert ["Latitude", "-65.600000"] in rows(colony.ok("location get lulea"))
    colony.ok("location remove --name lulea", stdin="YES\n")
    assert "No locations found" in colony.ok("location ls").err
    assert colony("location get lulea").code == 1


def test_the_server_says_what_it_is(shell: Shell, dev: Dev) -> None:
    shown = rows(shell.ok("server status"))
    assert [row[0] for row in shown] == [
        "Server Host",
        "Server Port",
        "CLI Version",
        "CLI BuildTime",
        "Server Version",
        "Server BuildTime",
    ]
    assert shown[1] == ["Server Port", str(dev.port)]
    assert "Server is alive" in shell.ok("server alive").err
    assert [row[0] for row in rows(shell.ok("server stat"))][:1] == ["Colonies"]
    assert rows(shell.ok("cluster info"))[0] == [
        "NAME",
        "HOST",
        "APIPORT",
        "ETCDCLIENTPORT",
        "ETCDPEERPORT",
        "RELAYPORT",
        "LEADER",
    ]


def test_a_wrong_server_key_is_refused_with_its_source(shell: Shell) -> None:
    ran = shell("server stats", COLONIES_SERVER_PRVKEY=new_key()["prvkey"])
    assert ran.code == 1
    assert "Access denied, not server owner" in ran.err
    assert "signed as the server owner" in ran.err
    assert "(environment COLONIES_SERVER_PRVKEY)" in ran.err


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("line", "next_step"),
    [
        (f"process get {NOWHERE}", "colonies process ls --state"),
        (f"process close -p {NOWHERE}", "colonies process ps"),
        (f"process cancel {NOWHERE}", "colonies process get -p"),
        ("process psw --count 101", "--count takes at most 100"),
        ("executor get --name nobody", "colonies executor ls --all"),
        ("user get --name nobody", "colonies user ls"),
        ("user add --name eva --userid short", "colonies key generate"),
        ("location get --name nowhere", "colonies location ls"),
        (f"attribute get --attributeid {NOWHERE}", "colonies process get -p"),
        ("user chid --userid short", "colonies key generate"),
    ],
)
def test_a_refusal_says_what_to_do_next(colony: Shell, line: str, next_step: str) -> None:
    ran = colony(line)
    assert (ran.code, ran.out) == (1, "")
    error, hint = ran.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert next_step in hint


def test_a_paused_colony_says_how_to_resume_it(colony: Shell, worker: Shell) -> None:
    colony.ok("process pause")
    ran = worker("process assign --timeout -1")
    assert ran.code == 1
    assert "colonies process resume" in ran.err


def test_a_spec_given_as_it_is_is_not_repeated_in_its_mistakes(colony: Shell) -> None:
    for text in ('{"conditions": 5}', "[1]", '{"funcname": "f"'):
        ran = colony("function submit --spec " + shlex.quote(text))
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: the specification")


def test_a_full_list_shows_the_functions_of_each(colony: Shell, worker: Shell) -> None:
    other = new_key()["id"]
    colony.ok(f"executor add --name other --type cli --executorid {other}")
    worker.ok("function register --name worker --func helloworld")
    first, second = colony.ok("executor ls --full").out.split("=" * 94 + "\n")
    blocks = {("worker" in text, "helloworld" in text) for text in (first, second)}
    assert blocks == {(True, True), (False, False)}


def test_the_type_of_an_executor_can_come_from_the_profile(colony: Shell) -> None:
    made = new_key()["id"]
    ran = colony.ok(f"executor add --name typed --executorid {made} --json")
    assert cast("dict[str, str]", ran.json)["executortype"] == "cli"


# ---------------------------------------------------------------- short ids


def test_the_beginning_of_an_id_is_enough(colony: Shell, worker: Shell) -> None:
    process = submit(colony)
    assert colony.ok(f"process get {process[:12]} -o id").id == process
    assert colony.ok(f"process get {process[:12]}… -o id").id == process
    assign(worker)
    worker.ok(f"attribute add -p {process[:8]} --key k --value v")
    worker.ok(f"process close -p {process[:8]} --out done")
    assert colony.ok(f"process get {process[:8]} --out").out == "done\n"
    colony.ok(f"process remove {process[:8]}")
    assert colony.ok("process pss --json").json == []


@pytest.mark.parametrize("beginning", ["zzzz", "abcdef012345", "F" * 12])
def test_a_beginning_of_nothing_is_unknown(colony: Shell, beginning: str) -> None:
    submit(colony)
    ran = colony(f"process get {beginning}")
    assert (ran.code, "process not found" in ran.err) == (1, True)
