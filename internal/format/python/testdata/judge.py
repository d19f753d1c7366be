"""Lets a client judge files. Reads {"client", "index", "work", "listed", "refused"}
from standard input and writes {"KEY": "what is wrong"} for the files that the
client does not take, the files of "listed" and those of "refused" alike."""
import json
import os
import shutil
import subprocess
import sys

order = json.load(sys.stdin)
work, client = order["work"], order["client"]
target = os.path.join(work, "got")
log = os.path.join(work, "log")
answer = os.fdopen(os.dup(1), "w")


def quietly(run):
    """Runs a client, and returns its status and what it said."""
    with open(log, "w+b") as out:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        try:
            status = run()
        except BaseException as e:
            status = repr(e)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])
        out.seek(0)
        return status, out.read().decode("utf-8", "replace")


if client == "packaging":
    pass
elif client == "uv":
    def download(source, requirement):
        shutil.rmtree(target, ignore_errors=True)
        return quietly(lambda: subprocess.call([
            order["uv"], "pip", "install", "--quiet", "--no-deps", "--no-cache", "--no-config", "--python", sys.executable, "--target", target, *source, requirement]))
    from_index, from_folder = ["--default-index", order["index"]], ["--no-index", "--find-links"]
else:
    from pip._internal.cli.main import main

    def download(source, requirement):
        shutil.rmtree(target, ignore_errors=True)
        return quietly(lambda: main([
            "install", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--no-compile", "--target", target, *source, requirement]))
    from_index, from_folder = ["--index-url", order["index"]], ["--no-index", "--find-links"]


def packaging(case):
    """What the library packaging says of a wheel that we refuse."""
    from packaging.metadata import Metadata
    from packaging.utils import parse_wheel_filename
    try:
        parse_wheel_filename(case["filename"])
        with open(case["metadata"], "rb") as f:
            Metadata.from_email(f.read(), validate=True)
    except BaseException as e:
        return repr(e)[:300]
    return ""


wrong = {}
for case in order["listed"] or []:
    status, said = download(from_index, case["requirement"])
    if status:
        wrong[case["key"]] = said[-600:] or str(status)
for case in order["refused"] or []:
    reason = packaging(case) if client == "packaging" else ""
    if client != "packaging":
        status, said = download(from_folder + [case["folder"]], case["requirement"])
        if status:
            reason = said[-300:] or str(status)
    if reason:
        wrong[case["key"]] = reason
json.dump(wrong, answer)
