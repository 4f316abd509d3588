#!/usr/bin/env python3
"""Runs the steps of .github/workflows/release.yml that this machine can: those of Linux, for its own architecture.

Usage: scripts/release-dry-run.py [--check|--list]
  --check   only checks the workflows: actions are pinned to commits, tests come before a release, each step of it is a
            make target or a script that exists, each secret is one of scripts/sign.sh, and the platforms are those of
            scripts/packaging.sh
  --list    prints the steps that it would run

The files go to dist/dry-run. Those of other platforms are stand-ins and the executable is compressed at a fast level, so
nothing is uploaded: `make publish` only prints. `make docker-build` is skipped where no container engine can build it, and
the guest is then the debian flavour, which needs none.
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
WORKFLOWS = REPO / ".github/workflows"
WORKFLOW = WORKFLOWS / "release.yml"
STAND_IN = "A stand-in of a dry run, not a program.\n"


def rows(job):
    """The rows of a job's matrix; one empty row without a matrix."""
    return job.get("strategy", {}).get("matrix", {}).get("include", [{}])


def fill(value, row):
    """The value of a GitHub expression; a stand-in if only GitHub has it."""
    known = {f"matrix.{key}": text for key, text in row.items()}
    known |= {"github.server_url": "https://forge.invalid", "github.repository": "virtualghost/virtualghost",
              "github.ref_name": "v" + version(), "github.token": ""}
    return re.sub(r"\$\{\{ *([a-zA-Z_.-]+) *\}\}", lambda found: str(known.get(found[1], "")), str(value))


def version():
    return re.search(r'^version = "(.*)"$', (REPO / "Cargo.toml").read_text(), re.M)[1]


def check_all():
    """Errors in any workflow, as sentences."""
    for path in sorted(WORKFLOWS.glob("*.yml")):
        text = path.read_text()
        workflow = yaml.safe_load(text)
        for line in re.findall(r"^ *-? *uses: (.*)$", text, re.M):
            local = re.fullmatch(r"\./(.+)", line)
            if local and (REPO / local[1]).is_file():
                continue
            if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+(\.\d+)*", line):
                yield f"{path.name}: {line}: an action is pinned to a commit, and its version is a comment"
        for key in ("permissions", "concurrency"):
            if key not in workflow:
                yield f"{path.name}: no {key}"
        for name, job in workflow["jobs"].items():
            if "uses" not in job and "timeout-minutes" not in job:
                yield f"{path.name}: {name}: no timeout-minutes"


def check(workflow):
    """Errors in the release workflow, as sentences."""
    if workflow["jobs"].get("tests", {}).get("uses") != "./.github/workflows/ci.yml":
        yield "there is no job `tests` that calls ci.yml"
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
                yield f"{name}: needs {needed}, which is not a job"
        if name != "tests" and not job.get("needs"):
            yield f"{name}: does not wait for the tests"
        for row in rows(job):
            if "platform" in row and not row["platform"].endswith(row["arch"]):
                yield f"{name}: {row['platform']} gets a guest for {row['arch']}"
            if "arch" in row and row["arch"] not in guests:
                yield f"{name}: no job builds a guest for {row['arch']}"
        for step in job.get("steps", []):
            where = f"{name}: {step.get('run') or step.get('uses')}"
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
        for row in rows(job) if "steps" in job else []:
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
            ran.append((job, command, "skipped: no container engine works here"))
            continue
        if job == "publish":
            stand_ins(release)
        print(f"== {job}: {command}", flush=True)
        status = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=REPO, env={**base, **environment}).returncode
        if "docker-build" in command and status:
            engine = False
            ran.append((job, command, "skipped: the container engine here cannot build it; its last lines say why"))
            continue
        ran.append((job, command, f"status {status}"))
        if status:
            break
    shutil.rmtree(REPO / "guest", ignore_errors=True)
    print("== what ran")
    for job, command, result in ran:
        print(f"{job:8} {command:50} {result}")
    return all(result == "status 0" or result.startswith("skipped") for _, _, result in ran)


def stand_ins(release):
    names = re.search(r"^executables=\((.*)\)$", (REPO / "scripts/packaging.sh").read_text(), re.M)[1].split()
    for name in names:
        path = release / f"virtualghost-{version()}-{name}{'.exe' if name.startswith('windows') else ''}"
        if not path.exists():
            print(f"== a stand-in for {path.name}")
            path.write_text(STAND_IN)


def main():
    workflow = yaml.safe_load(WORKFLOW.read_text())
    wrong = [*check_all(), *check(workflow)]
    if wrong:
        sys.exit("\n".join(wrong))
    match sys.argv[1:]:
        case ["--check"]:
            print("the workflows are sound")
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
