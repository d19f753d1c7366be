#!/usr/bin/python3
"""Shows what machines of several architectures see of a repository.

usage: machines.py URL SUITE KEY PACKAGE ...

Of each machine, it prints one line of JSON: what apt-cache and apt-get say of the
packages, and what apt-get update complains of.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

url, suite, key, packages = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
machines = {"arm64": ("arm64",), "i386": ("i386",), "amd64,i386": ("amd64", "i386")}
version = subprocess.check_output(["apt-get", "--version"]).decode().split()[1]
if tuple(map(int, version.split(".")[:2])) >= (3, 1):
    machines["amd64v3"] = ("amd64",)


def run(options, *words):
    p = subprocess.run([words[0], *options, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.stdout.decode(errors="replace").split("\n")


def look(name, architectures):
    work = tempfile.mkdtemp(prefix="machine")
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        os.makedirs(os.path.join(work, folder))
    open(work + "/status", "w").close()
    with open(work + "/sources.list", "w") as f:
        f.write("deb [signed-by=%s] %s %s main\n" % (key, url, suite))
    with open(work + "/variants", "w") as f:
        f.write("amd64v3 amd64 avx2\n")
    with open(work + "/apt.conf", "w") as f:
        f.write('APT::Architectures { "%s"; };\n' % '"; "'.join(architectures))
        if name == "amd64v3":
            f.write('APT::Architecture-Variants { "amd64v3"; };\n')
    os.environ["APT_CONFIG"] = work + "/apt.conf"
    options = [word for item in {
        "Dir::State::Lists": work + "/lists", "Dir::Cache": work + "/cache", "Dir::Etc::sourcelist": work + "/sources.list",
        "Dir::Etc::sourceparts": work + "/parts", "Dir::Etc::preferencesparts": work + "/parts", "Dir::State::status": work + "/status",
        "Dir::dpkg::varianttable": work + "/variants", "APT::Architecture": architectures[0], "APT::Sandbox::User": "root", "Acquire::Languages": "none",
    }.items() for word in ("-o", "=".join(item))]
    wrong = [line for line in run(options, "apt-get", "update") if line[:2] in ("E:", "W:", "N:")]
    facts = run(options, "apt-cache", "policy", *packages) + run(options, "apt-cache", "show", *packages)
    for package in packages:
        facts += run(options, "apt-get", "install", "--print-uris", "-qqq", package)
    facts += run(options, "apt-get", "download", "--print-uris", "-qqq", *packages)
    shutil.rmtree(work)
    return {"index": name, "versions": [line for line in facts if line], "wrong": {0: " ".join(wrong)} if wrong else {}}


for name in sorted(machines):
    print(json.dumps(look(name, machines[name])))
