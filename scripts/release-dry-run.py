#!/usr/bin/env python3
"""Runs the steps of .github/workflows/release.yml that this machine can: those of Linux, for its own architecture.

Usage: scripts/release-dry-run.py [--check|--list]
  --check   only looks at the workflow: each step is a make target or a script that is there, each secret is one that
            scripts/sign.sh knows, and the platforms are those that scripts/packaging.sh fills in
  --list    prints the steps that it would run

The files go to dist/dry-run. Those of other platforms are stand-ins and the executable is compressed in a hurry, so
nothing is uploaded: `make publish` prints what it would do. `make docker-build` is passed over where no container engine
can build it, and the guest is then the debian flavour, which needs none.
"""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import yaml

REPO = pathlib.Path(__file__).resolve().parent.parent
WORKFLOW = REPO / ".github/workflows/release.yml"
STAND_IN = "A stand-in of a dry run, not a program.\n"


def rows(job):
    """The rows of a job's matrix; one without any if it has none."""
    return job.get("strategy", {}).get("matrix", {}).get("include", [{}])


def fill(value, row):
    """What GitHub puts in for an expression; a stand-in for what it alone knows."""
    known = {f"matrix.{key}": text for key, text in row.items()}
    known |= {"github.server_url": "https://forge.invalid", "github.repository": "virtualghost/virtualghost",
              "github.ref_name": "v" + version(), "github.token": ""}
    return re.sub(r"\$\{\{ *([a-zA-Z_.-]+) *\}\}", lambda found: str(known.get(found[1], "")), str(value))


def version():
    return re.search(r'^version = "(.*)"$', (REPO / "Cargo.toml").read_text(), re.M)[1]


def check(workflow):
    """Sentences on what is wrong with the workflow."""
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.M))
    known = set(re.findall(r"\b(?:MACOS|WINDOWS)_[A-Z_]+", (REPO / "scripts/sign.sh").read_text()))
    wanted = set(re.search(r"^executables=\((.*)\)$", (REPO / "scripts/packaging.sh").read_text(), re.M)[1].split())
    built = {row["platform"] for job in workflow["jobs"].values() for row in rows(job) if "platform" in row}
    if built != wanted:
        yield f"platforms: built are {sorted(built)}, scripts/packaging.sh fills in {sorted(wanted)}"
    guests = {row["arch"] for row in rows(workflow["jobs"]["guest"])}
    for name, job in workflow["jobs"].items():
        for needed in [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", []):
            if needed not in workflow["jobs"]:
                yield f"{name}: needs {needed}, which is no job"
        for row in rows(job):
            if "platform" in row and not row["platform"].endswith(row["arch"]):
                yield f"{name}: {row['platform']} gets a guest for {row['arch']}"
            if "arch" in row and row["arch"] not in guests:
                yield f"{name}: nobody builds a guest for {row['arch']}"
        for step in job["steps"]:
            where = f"{name}: {step.get('run') or step.get('uses')}"
            if "uses" in step and not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]):
                yield f"{where}: an action has a version"
            if "run" in step:
                words = step["run"].split()
                if words[0] in ("make", "gmake"):
                    missing = [word for word in words[1:] if "=" not in word and word not in targets]
                    if missing:
                        yield f"{where}: no such target: {' '.join(missing)}"
                elif not (words[0].startswith("scripts/") and os.access(REPO / words[0], os.X_OK)):
                    yield f"{where}: a step is a make target or a script"
                if "${{" in step["run"]:
                    yield f"{where}: an expression in a command; give it by env"
            for key, text in step.get("env", {}).items():
                secret = re.search(r"(?:secrets|vars)\.(\w+)", str(text))
                if secret and (secret[1] != key or key not in known):
                    yield f"{where}: scripts/sign.sh knows no {secret[1]}"


def steps(workflow):
    """(job, step, environment) for each step that Linux of this architecture runs, in the order of the jobs."""
    arch = platform.machine()
    for name, job in workflow["jobs"].items():
        for row in rows(job):
            runner = fill(job["runs-on"], row)
            if not runner.startswith("ubuntu") or row.get("arch", arch) != arch:
                continue
            environment = {**workflow.get("env", {}), **job.get("env", {})}
            for step in job["steps"]:
                yield name, step, {key: fill(text, row) for key, text in {**environment, **step.get("env", {})}.items()}


def run(workflow, release):
    engine = any(shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0
                 for name in ("docker", "podman"))
    base = {**os.environ, "RELEASE": str(release.relative_to(REPO)), "DRY_RUN": "1", "VIRTUALGHOST_ZSTD_LEVEL": "3"}
    shutil.rmtree(release, ignore_errors=True)
    ran = []
    for job, step, environment in steps(workflow):
        command = step.get("run")
        if not command:
            if step["uses"].startswith("actions/download-artifact") and step["with"].get("path") == "guest":
                (REPO / "guest").mkdir(exist_ok=True)
                shutil.copy(REPO / "dist/guest.tar.zst", REPO / "guest/guest.tar.zst")
            continue
        if not engine and "FLAVOUR" in environment:
            environment["FLAVOUR"] = "debian"
        if "docker-build" in command and not engine:
            ran.append((job, command, "passed over: no container engine works here"))
            continue
        if job == "publish":
            stand_ins(release)
        print(f"== {job}: {command}", flush=True)
        status = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=REPO, env={**base, **environment}).returncode
        if "docker-build" in command and status:
            engine = False
            ran.append((job, command, "passed over: the container engine here can't build it; its last lines say why"))
            continue
        ran.append((job, command, f"status {status}"))
        if status:
            break
    shutil.rmtree(REPO / "guest", ignore_errors=True)
    print("== what ran")
    for job, command, result in ran:
        print(f"{job:8} {command:50} {result}")
    return all(result == "status 0" or result.startswith("passed") for _, _, result in ran)


def stand_ins(release):
    names = re.search(r"^executables=\((.*)\)$", (REPO / "scripts/packaging.sh").read_text(), re.M)[1].split()
    for name in names:
        path = release / f"virtualghost-{version()}-{name}{'.exe' if name.startswith('windows') else ''}"
        if not path.exists():
            print(f"== a stand-in for {path.name}")
            path.write_text(STAND_IN)


def main():
    workflow = yaml.safe_load(WORKFLOW.read_text())
    wrong = list(check(workflow))
    if wrong:
        sys.exit("\n".join(wrong))
    match sys.argv[1:]:
        case ["--check"]:
            print("each step is there")
        case ["--list"]:
            for job, step, _ in steps(workflow):
                if "run" in step:
                    print(f"{job}: {step['run']}")
        case []:
            sys.exit(0 if run(workflow, REPO / "dist/dry-run") else 1)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
