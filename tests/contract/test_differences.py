"""A listed difference is promised, not excused: it has to be there, and be as listed."""

from pathlib import Path

import msgspec
import pytest

from tests.contract.differences import Difference, read_differences, unknown_lines
from tests.contract.stand_in import always, exchange, replay


def difference(**fields: object) -> Difference:
    about = {"title": "t", "reason": "r", "lines": ["small/closesuccessfulmsg"]}
    return msgspec.convert(about | fields, Difference)


async def test_listed_difference_passes() -> None:
    listed = difference(status=400, message="Tried again")

    assert (
        await replay(
            exchange("closesuccessfulmsg", {}),
            answers={"closesuccessfulmsg": always(400, "Tried again")},
            differences=(listed,),
        )
        == []
    )


async def test_listed_difference_that_is_none_any_more_is_a_problem() -> None:
    (problem,) = await replay(
        exchange("closesuccessfulmsg", {}),
        answers={"closesuccessfulmsg": always(200, {})},
        differences=(difference(status=400, message="Tried again"),),
    )

    assert "no longer different, take it off the list: t" in problem.details


async def test_other_answer_than_the_listed_one_is_a_problem() -> None:
    (problem,) = await replay(
        exchange("closesuccessfulmsg", {}),
        answers={"closesuccessfulmsg": always(403, "Tried again")},
        differences=(difference(status=400, message="Tried again"),),
    )

    assert "promised as: t" in problem.details


async def test_status_alone_leaves_the_payload_open() -> None:
    answers = {"closesuccessfulmsg": always(200, {"anything": 1})}
    line = exchange("closesuccessfulmsg", "was refused", status=404)

    assert await replay(line, answers=answers, differences=(difference(status=200),)) == []


async def test_listed_change_of_a_payload_passes() -> None:
    recorded = {"spec": {"mem": "0Mi", "old": 1}, "list": [{"n": 1}]}
    ours = {"spec": {"mem": "5Mi"}, "list": [{"n": 2}]}
    change = difference(set={"spec.mem": "5Mi", "list.0.n": 2}, remove=["spec.old"])

    assert (
        await replay(
            exchange("closesuccessfulmsg", recorded),
            answers={"closesuccessfulmsg": always(200, ours)},
            differences=(change,),
        )
        == []
    )


async def test_open_key_may_hold_the_recorded_value_or_another() -> None:
    line = exchange("closesuccessfulmsg", {"list": [{"heard": "then", "n": 1}]})
    change = difference(open=["heard"])

    for heard in ("then", "now"):
        answers = {"closesuccessfulmsg": always(200, {"list": [{"heard": heard, "n": 1}]})}
        assert await replay(line, answers=answers, differences=(change,)) == []


async def test_open_key_has_to_be_there() -> None:
    line = exchange("closesuccessfulmsg", {"heard": "then"})
    answers = {"closesuccessfulmsg": always(200, {})}

    assert len(await replay(line, answers=answers, differences=(difference(open=["heard"]),))) == 1


@pytest.mark.parametrize(("items", "problems"), [(0, 1), (1, 0), (2, 1)])
async def test_list_has_as_many_items_more_as_listed(items: int, problems: int) -> None:
    line = exchange("closesuccessfulmsg", [{"n": 1}])
    answers = {"closesuccessfulmsg": always(200, [{"n": 1}, *({"n": 2} for _ in range(items))])}

    found = await replay(line, answers=answers, differences=(difference(more=1),))

    assert len(found) == problems


async def test_change_of_a_message_type_is_not_about_its_refusals() -> None:
    change = difference(lines=[], messages=["getusersmsg"], set={"more": 1})
    line = exchange("getusersmsg", "Access denied", status=403)
    answers = {"getusersmsg": always(403, "Access denied")}

    assert await replay(line, answers=answers, differences=(change,)) == []


async def test_difference_of_a_message_type_is_bound_to_what_was_recorded() -> None:
    empty = difference(lines=[], messages=["getusersmsg"], recorded="null", payload="[]")
    answers = {"getusersmsg": always(200, [])}

    assert await replay(exchange("getusersmsg", None), answers=answers, differences=(empty,)) == []
    assert (
        len(await replay(exchange("getusersmsg", [1]), answers=answers, differences=(empty,))) == 1
    )


BLOCK = '```toml\n[[differs]]\nlines = ["small/a"]\nstatus = 400\nmessage = "m"\n```\n'


def document(directory: Path, text: str) -> Path:
    file = directory / "compatibility.md"
    file.write_text(text)
    return file


def test_difference_is_read_with_its_title_and_reason(tmp_path: Path) -> None:
    text = f"# Compatibility\n\n## Part\n\n### One\nBecause.\n\n{BLOCK}\n### Prose only\nText.\n"

    (read,) = read_differences(document(tmp_path, text))

    assert (read.title, read.reason, read.lines, read.status) == (
        *("One", "Because."),
        *({"small/a"}, 400),
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"### One\n\n{BLOCK}", id="no reason"),
        pytest.param(f"## One\nBecause.\n\n{BLOCK}", id="no heading of its own"),
        pytest.param(f"### One\nBecause.\n\n{BLOCK}\nAnd.\n\n{BLOCK}", id="second block"),
    ],
)
def test_difference_without_heading_and_reason_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="reason"):
        read_differences(document(tmp_path, text))


def test_difference_about_a_line_that_was_not_recorded_is_reported() -> None:
    listed = difference(lines=["small/closesuccessfulmsg", "small/typo", "elsewhere/line"])
    recorded = {"small": [exchange("closesuccessfulmsg", {})]}

    assert unknown_lines([listed], recorded) == ["t: small/typo"]


async def test_what_was_accepted_is_taken_back() -> None:
    said: list[dict[str, object]] = []

    def take_back(message: dict[str, object]) -> tuple[int, object]:
        said.append(message)
        return 200, {}

    undo = {"message": "removecronmsg", "key": "cronid"}
    problems = await replay(
        exchange("closesuccessfulmsg", "refused", status=400),
        answers={
            "closesuccessfulmsg": always(200, {"cronid": "7"}),
            "removecronmsg": take_back,
        },
        differences=(difference(status=200, undo=undo),),
    )

    assert (problems, said) == ([], [{"msgtype": "removecronmsg", "cronid": "7"}])
