"""Which file the switch could not read."""

from pathlib import Path

from eslbridge.publishing.diagnosis import broken_files, files_that_hold


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_broken_file_is_named_with_its_own_line(tmp_path):
    write(tmp_path, "directory/default/1000.xml", '<include>\n<user id="1000">\n</user>\n</include>\n')
    write(tmp_path, "directory/default/1001.xml", '<include>\n<user id="1001">\n</users>\n</include>\n')
    assert broken_files(tmp_path) == ["directory/default/1001.xml, line 3: mismatched tag"]


def test_what_the_switch_drops_does_not_count(tmp_path):
    write(
        tmp_path,
        "vars.xml",
        '<?xml version="1.0"?>\n<include>\n<X-PRE-PROCESS cmd="set" data="a=$${b}"/>\n'
        '<!-- a -->\n<a b="$${c}"/>\n</include>\n',
    )
    write(
        tmp_path, "freeswitch.xml", '<?xml version="1.0"?>\n<document type="freeswitch/xml">\n</document>\n'
    )
    assert broken_files(tmp_path) == []


def test_at_most_three_are_named_and_an_unreadable_tree_gives_none(tmp_path):
    for number in range(5):
        write(tmp_path, f"{number}.xml", "<a>\n")
    assert len(broken_files(tmp_path)) == 3
    assert broken_files(tmp_path / "nothing") == []


def test_an_unclosed_element_is_found_at_the_end(tmp_path):
    write(tmp_path, "a.xml", "<a>\n<b/>\n")
    assert broken_files(tmp_path)[0].startswith("a.xml, line ")


def test_the_other_files_that_hold_something_are_named_with_the_line(tmp_path):
    write(tmp_path, "directory/default/1020.xml", '<include>\n<user id="1020">\n</user>\n</include>\n')
    write(tmp_path, "directory/default/0.xml", '<include>\n<!-- old -->\n<user id="1020"/>\n</include>\n')
    write(tmp_path, "directory/default/1.xml", '<include><user id="1020"/></include>\n')  # dropped whole
    assert files_that_hold(tmp_path, '<user id="1020"', but="directory/default/1020.xml") == [
        "directory/default/0.xml, line 3"
    ]
