#!/usr/bin/python3
"""Lets the apt of this machine judge stanzas.

usage: judge.py FOLDER

FOLDER/*/Packages are indexes. Of each, it prints one line of JSON: the versions
that apt knows after apt-get update, as "name architecture version", and what is
wrong with single stanzas, by their number, if apt-get update fails or warns: those
are found by bisection.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

import apt_pkg

RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks",
             "Replaces", "Provides", "Built-Using", "Static-Built-Using")
apt_pkg.init()
work = tempfile.mkdtemp(prefix="judge")
settings = {
    "Dir::State::Lists": work + "/lists", "Dir::Cache": work + "/cache", "Dir::Etc::sourcelist": work + "/sources.list",
    "Dir::Etc::sourceparts": work + "/parts", "Dir::Etc::preferencesparts": work + "/parts", "Dir::State::status": work + "/status",
    "APT::Architecture": "amd64", "APT::Architectures": "amd64", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
}
options = [word for item in settings.items() for word in ("-o", "=".join(item))]


def update(stanzas):
    """What apt-get update complains of, "" for nothing."""
    for folder in ("lists/partial", "cache/archives/partial", "parts", "repo"):
        shutil.rmtree(os.path.join(work, folder), ignore_errors=True)
        os.makedirs(os.path.join(work, folder))
    for name in ("pkgcache.bin", "srcpkgcache.bin"):
        if os.path.exists(work + "/cache/" + name):
            os.remove(work + "/cache/" + name)
    open(work + "/status", "w").close()
    with open(work + "/sources.list", "w") as f:
        f.write("deb [trusted=yes] file:%s/repo ./\n" % work)
    with open(work + "/repo/Packages", "wb") as f:
        f.write(b"".join(stanzas))
    p = subprocess.run(["apt-get", *options, "update"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = p.stdout.decode(errors="replace").split("\n")
    wrong = [line for line in lines if line.startswith(("E:", "W:")) and "Release" not in line]
    if p.returncode or wrong:
        return "apt-get update: %d %s" % (p.returncode, " ".join(wrong)[:300])
    return ""


def culprits(stanzas, first=0):
    """The stanzas because of which apt-get update complains, with its words."""
    what = update(stanzas)
    if not what:
        return []
    if len(stanzas) == 1:
        return [(first, what)]
    half = len(stanzas) // 2
    found = culprits(stanzas[:half], first) + culprits(stanzas[half:], first + half)
    return found or [(first, "together with others: " + what)]


def versions(stanzas):
    """What apt knows of stanzas that it can read."""
    update(stanzas)
    p = subprocess.run(["apt-cache", *options, "dumpavail"], stdout=subprocess.PIPE, check=True)
    known = []
    for stanza in p.stdout.decode(errors="replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.split("\n") if line[:1].isalpha() and ": " in line)
        if fields:
            known.append("%s %s %s" % tuple(fields.get(name, "?") for name in ("Package", "Architecture", "Version")))
    return sorted(known)


def unreadable(path):
    """What Python programs cannot read of an index."""
    try:
        with apt_pkg.TagFile(path) as file:
            for section in file:
                for name in section.keys():
                    section[name]
                for name in RELATIONS:
                    apt_pkg.parse_depends(section.get(name, ""))
    except Exception as e:  # whatever it is, the program ends
        return "apt_pkg: %s" % e
    return ""


def judge(path):
    with open(path, "rb") as f:
        stanzas = [s + b"\n\n" for s in f.read().split(b"\n\n") if s]
    bad = dict(culprits(stanzas))
    for i, stanza in enumerate(stanzas):
        what = alone(stanza)
        if what:
            bad.setdefault(i, what)
    return {"index": os.path.basename(os.path.dirname(path)), "wrong": bad,
            "versions": versions([s for i, s in enumerate(stanzas) if i not in bad])}


def alone(stanza):
    """What is wrong with a stanza, in a process of its own: apt_pkg may crash."""
    with open(work + "/one", "wb") as f:
        f.write(stanza)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, unreadable(work + "/one").encode()[:500])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        what = f.read().decode()
    status = os.waitpid(child, 0)[1]
    return what if status == 0 else "apt_pkg ends with status %d" % status


for p in sorted(glob.glob(sys.argv[1] + "/*/Packages")):
    print(json.dumps(judge(p)))
shutil.rmtree(work)
