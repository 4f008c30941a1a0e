"""The switch's files: ours to write, read by it, and the records that it writes."""

import os
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from django.conf import settings

from eslbridge.publishing.publisher import in_words

from .findings import Finding, Findings, how_to_load, many, ok, problem, unknown, warning
from .site import Site, is_same, is_true, params
from .traces import KINDS, first_known, traces

# What makes vanilla read each directory, and where that line belongs.
_INCLUDED = {
    "directory/default": ("default/*.xml", "<users> in directory/default.xml"),
    "dialplan": ("dialplan/*.xml", "the section dialplan in freeswitch.xml"),
    "dialplan/default": ("default/*.xml", "context default in dialplan/default.xml"),
    "dialplan/public": ("public/*.xml", "context public in dialplan/public.xml"),
}


def check_directory(site: Site) -> Findings:
    root = Path(settings.FS_CONF_DIR)
    try:
        names = os.listdir(root)
    except PermissionError:
        yield problem(f"{root} may not be read by this user", "Run doctor as the worker's user.")
        return
    except OSError:
        yield problem(f"{root} is no directory here", "Set FS_CONF_DIR: manage.py esl global_getvar conf_dir")
        return
    if "freeswitch.xml" not in names:
        yield problem(f"{root} holds no freeswitch.xml", "Set FS_CONF_DIR to the directory that does.")
        return
    refused = list(dict.fromkeys(words for path in KINDS if (words := _refusal(root / path))))
    for words in refused:
        yield problem(words, "The worker's user must be able to make files there; run doctor as that user.")
    if not refused:
        yield ok(f"{root} can be written")


def _refusal(directory: Path) -> str:
    """Why no file can be made there; empty when one can. Nothing is left behind."""
    while not directory.exists():  # it is made with the first file
        directory = directory.parent
    try:
        with tempfile.TemporaryFile(dir=directory):
            return ""
    except PermissionError:
        return f"{directory} may not be written by this user"
    except OSError as error:
        return in_words(error)


def check_same_directory(site: Site) -> Findings:
    """Whether the switch reads the directory that is written. On another host a path proves nothing."""
    ours, theirs = settings.FS_CONF_DIR, site.ask("global_getvar conf_dir")
    asked = [
        each for path in KINDS for each in traces(Path(ours), path, site.directory_domain) if each.is_proof
    ]
    its_name = "" if is_same(ours, theirs) else f" (the switch calls its directory {theirs})"
    if seen := first_known(site, asked):
        yield ok(f"the switch has {seen.path} with the content that it has in {ours}{its_name}")
    elif asked:
        yield problem(
            f"the switch knows none of {many(len(asked), 'file')} of Patchbay in {ours}{its_name}",
            "python manage.py sync_xml. If that does not help, this is not the directory of the switch, "
            "which is on another host or in a container: mount its own here, and set FS_CONF_DIR to that.",
        )
    elif site.switch_is_near and not its_name:
        yield ok(f"{ours}, by its path; the first published agent will prove it")
    elif site.switch_is_near and Path(theirs, "freeswitch.xml").is_file():
        yield problem(f"the switch reads {theirs}, but FS_CONF_DIR is {ours}", f"Set FS_CONF_DIR={theirs}")
    else:
        yield unknown(
            f"the switch calls its directory {theirs}, on another host or in a container; whether that is "
            f"{ours} here shows when the first agent is published"
        )


def check_includes(site: Site) -> Findings:
    for directory, (pattern, where) in _INCLUDED.items():
        asked = traces(Path(settings.FS_CONF_DIR), directory, site.directory_domain)
        if not asked:
            yield unknown(f"{directory}/*.xml: there is no file yet that the switch could be asked about")
        elif seen := first_known(site, asked):
            yield ok(f"{directory}/*.xml is read: the switch knows {seen.path}")
        else:
            yield problem(
                f"{directory}/*.xml is not read: the switch does not know {asked[0].path}",
                f'Put <X-PRE-PROCESS cmd="include" data="{pattern}"/>, on a line of its own, into {where}; '
                "then python manage.py esl reloadxml",
            )


def check_records(site: Site) -> Findings:
    """The files of mod_json_cdr: records of the calls that end while everything here is down."""
    folder = settings.FS_CDR_DIR
    complaint = problem if folder else warning
    lost = "calls that end while no worker runs will be missing from the records"
    if site.ask("module_exists mod_json_cdr") != "true":
        yield complaint(f"mod_json_cdr is not loaded: {lost}", how_to_load("mod_json_cdr"))
        return
    if site.is_simulated and folder:
        is_there = os.path.lexists(folder)
        yield _readable(folder) if is_there else ok(f"the simulator makes {folder} with its first record")
        return
    conf = site.configuration("json_cdr.conf")
    if reason := _reason_for_no_records(conf):
        yield complaint(
            f"mod_json_cdr {reason[0]}: {lost}",
            f"Set {reason[1]} in autoload_configs/json_cdr.conf.xml, then python manage.py esl reload "
            "mod_json_cdr",
        )
        return
    theirs = os.path.join(site.ask("global_getvar log_dir"), params(conf)["log-dir"] or "json_cdr")
    if not folder:
        yield warning(f"FS_CDR_DIR is not set: {lost}", f"Set FS_CDR_DIR={theirs}")
    elif is_same(folder, theirs):
        yield _readable(folder)
    elif site.switch_is_near and Path(theirs).is_dir():
        yield problem(
            f"the switch writes to {theirs}, but FS_CDR_DIR is {folder}", f"Set FS_CDR_DIR={theirs}"
        )
    else:
        yield unknown(f"the switch writes to {theirs}, which is not here: FS_CDR_DIR {folder} must be that")


def _reason_for_no_records(conf: ET.Element | None) -> tuple[str, str] | None:
    """Why there is no file of each leg where it can be found, and the setting that changes that."""
    found = params(conf)
    every = conf.iter("param") if conf is not None else ()
    urls = [each.get("value") for each in every if each.get("name") == "url"]
    if "log-dir" not in found:
        return "has no log-dir", "log-dir"
    if any(urls) and not is_true(found.get("log-http-and-disk", "")):
        return "sends its records to a url and keeps no files", "log-http-and-disk to true"
    if is_true(found.get("rotate", "")):
        return "begins a new folder now and then, where nobody looks", "rotate to false"
    if not is_true(found.get("log-b-leg", "true")):
        return "leaves out who was called", "log-b-leg to true"
    return None


def _readable(folder: str) -> Finding:
    if not os.path.isdir(folder):
        return problem(f"FS_CDR_DIR {folder} is no directory here", "Set it to where mod_json_cdr writes.")
    give = "Give the worker's user the right to read and write there; run doctor as that user."
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
        return problem(f"FS_CDR_DIR {folder} may not be read by this user", give)
    if refusal := _refusal(Path(folder)):
        return problem(f"{refusal}, and what was recorded is moved away there", give)
    return ok(f"mod_json_cdr writes to {folder}, which can be read")
