"""What is kept of how a file was changed."""

import time
from pathlib import Path

from eslbridge.models import FileChange
from eslbridge.publishing.history import difference, last_changes
from eslbridge.publishing.publisher import Publisher
from eslbridge.switchxml import Element, document
from tests.factories import make_agent


def file(**params: str) -> str:
    return document(
        "agents.agent:1",
        [
            Element("param", {"name": name.replace("vm_", "vm-"), "value": value})
            for name, value in params.items()
        ],
    )


def test_the_lines_that_went_and_came() -> None:
    old, new = file(a="1", b="2", c="3"), file(a="1", b="two")
    assert difference(old, new).splitlines() == [
        '- <param name="b" value="2"/>',
        '- <param name="c" value="3"/>',
        '+ <param name="b" value="two"/>',
    ]


def test_a_password_is_never_shown() -> None:
    secret = difference(
        file(password="old-secret", vm_password="1111"), file(password="new-secret", vm_password="2222")
    )
    assert secret == "A password was changed."


def test_only_another_revision_is_no_difference() -> None:
    assert difference(file(patchbay_revision="1"), file(patchbay_revision="2")) == ""


def test_a_file_that_somebody_filled_with_anything_is_compared_in_no_time() -> None:
    old = "\n".join(f"<line {number} of something/>" for number in range(30_000))
    started = time.monotonic()
    assert "replaced" in difference(old, file(a="1"))
    assert time.monotonic() - started < 1


def test_a_file_that_is_not_text_does_not_stop_the_publisher(
    publisher: Publisher, switch_folders: Path
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    path = switch_folders / "directory/default/1020.xml"
    path.write_bytes(path.read_bytes().replace(b"Agent", b"\xff\x00"))
    agent.save()

    assert publisher.publish().written == ["directory/default/1020.xml"]

    assert "Agent 1020" in last_changes(agent)[0].difference


def test_a_new_file_and_a_removed_one_are_no_changes(publisher: Publisher) -> None:
    agent = make_agent(1020)
    publisher.publish()
    agent.delete()
    publisher.publish()
    assert not FileChange.objects.exists()


def test_another_indentation_is_no_difference() -> None:
    old = file(a="1", patchbay_revision="1")
    new = "\n".join(line.strip() for line in file(a="1", patchbay_revision="2").splitlines())
    assert difference(old, new) == ""
