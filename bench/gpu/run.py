"""Checks and times every case of the project on a GPU, beside the libraries for it.

    python3 run.py [--output FOLDER] [--minutes 8.5] [--cases NAME,...] [--choices FILE]

unpacks `ricci.tar.xz`, which lies beside it (see `pack.ts`), and needs nothing but the driver, Python and PyTorch.
In the project itself, built, `python3 bench/gpu/run.py --here` runs what is there. `--dry` is a trial in the
emulator at small sizes, without a GPU and without PyTorch, against the reference evaluator.

Writes `results.json` and `results.md` to FOLDER, and what it prints is the same table. Ends with status 1 when a
result is wrong or a case fails, with status 2 and a word of it where something is missing.

`--choices` times cases with other choices than the first. `--under COMMAND` runs the kernels under a profiler or
checker, such as `ncu --set full -c 1` or `compute-sanitizer`, and no peers.
"""

import argparse
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACK, WORKER = "ricci.tar.xz", "dist/bench/gpu/worker.js"
# Seconds that are left to other steps when a step begins, and within which each must end.
STEP_SECONDS = 150


class Worker:
    """The process in which the project's kernels are compiled and run."""

    def __init__(self, node, root, options):
        script = os.path.join(root, WORKER)
        command = shlex.split(options.under) + [node, script] + (["--emulator"] if options.dry else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for answer in self.process.stdout:
            # A profiler says its own between.
            if answer.startswith("{"):
                return json.loads(answer)
        raise RuntimeError(f"the worker ended with status {self.process.wait()}")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def measure_choices(worker, cases, choices, peers, folder, end):
    """Cases with other choices than the first: `{"case": ["units …", …]}`."""
    found = []
    for case in cases:
        if case["name"] not in choices:
            continue
        trial = peers.Trial(case, folder)
        for choice in choices[case["name"]]:
            if time.monotonic() > end:
                return found
            answer = worker.ask(what="run", name=case["name"], choice=choice, inputs=trial.files, folder=folder)
            checked = {"wrong": True} if "failed" in answer else trial.compare(answer["outputs"])
            found.append({**answer, **checked, "name": case["name"], "choice": choice})
            seconds = (answer.get("seconds") or {}).get("median")
            verdict = answer.get("failed") or ("WRONG" if checked["wrong"] else "ok")
            print(f"{case['name']} {choice}: {rate(case, seconds)} {verdict}", flush=True)
    return found


def missing(options):
    """What is not here that this cannot do without, and what to do; None where all is."""
    if options.here:
        if shutil.which("node") is None:
            return "there is no node on the PATH"
        if not os.path.exists(os.path.join(os.path.dirname(os.path.dirname(HERE)), WORKER)):
            return "the project is not built: npm run build"
    elif not os.path.exists(os.path.join(HERE, PACK)):
        made = "npm run bench:gpu:pack -- FOLDER makes both, and --here runs the project itself"
        return f"there is no {PACK} beside run.py: {made}"
    if options.dry:
        return None
    if importlib.util.find_spec("torch") is None:
        otherwise = "pip install torch, or --dry for a trial without"
        return f"{sys.executable} has no PyTorch, with which results are compared: {otherwise}"
    import torch

    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU (nvidia-smi says what there is): --dry is a trial without"
    return None


def unpacked(folder):
    with tarfile.open(os.path.join(HERE, PACK), "r:xz") as archive:
        archive.extractall(folder)
    node = os.path.join(folder, "node")
    os.chmod(node, 0o755)
    return node


def measured(worker, case, peers, folder, has_time, options):
    """One case: what the project's kernels took and how far they are off, and the same of its peers."""
    if not peers:
        answer = worker.ask(what="run", name=case["name"])
        return {**answer, "error": answer.get("distance"), "wrong": is_wrong_by_reference(answer)}
    trial = peers.Trial(case, folder)
    answer = worker.ask(what="run", name=case["name"], inputs=trial.files, folder=folder)
    checked = {"wrong": True} if "failed" in answer else trial.compare(answer["outputs"])
    return {**answer, **checked, "peers": {} if options.under else trial.time_peers(compiled=has_time)}


# One unit of rounding of bf16, in which most results are.
DRY_TOLERANCE = 2**-7


def is_wrong_by_reference(answer):
    # A distance that is no number came as null.
    distance = answer.get("distance")
    return distance is None or distance > DRY_TOLERANCE


def rate(case, seconds, launches=None):
    if not seconds:
        return ""
    if case["bound"] == "launches":
        return f"{seconds * 1e6 / launches:.2f} µs a launch" if launches else f"{seconds * 1e6:.1f} µs"
    if case["bound"] == "operations":
        return f"{case['flops'] / seconds / 1e12:.1f} TFLOP/s"
    return f"{case['bytes'] / seconds / 1e9:.0f} GB/s"


def row(case, result):
    seconds = (result.get("seconds") or {}).get("median")
    others = {name: taken for name, taken in (result.get("peers") or {}).items() if isinstance(taken, float)}
    best = min(others, key=others.get) if others else None
    error = result.get("failed", result.get("error"))
    return [
        case["name"],
        f"{seconds * 1e6:.1f}" if seconds else "",
        rate(case, seconds, result.get("launches")),
        f"{best} {rate(case, others[best])}" if best else "",
        f"{others[best] / seconds:.2f}" if best and seconds else "",
        f"{result.get('launches', '')}",
        error if isinstance(error, str) else "" if error is None else f"{error:.1e}",
        "WRONG" if result["wrong"] else "ok",
    ]


TITLES = ["case", "µs", "Ricci", "best peer", "times as fast", "launches", "error", ""]


def table(rows):
    rows = [TITLES] + [[cell.replace("\n", " ")[:60] for cell in each] for each in rows]
    widths = [max(len(each[place]) for each in rows) for place in range(len(TITLES))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(each, widths)) + " |" for each in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|"] + lines[1:]


def other_step(command, root, limit, log, peers):
    """A program of the project that prints by itself, to the log: its status."""
    libraries = {"RICCI_NCCL_LIBRARY": peers.nccl_library()}
    environment = {**os.environ, **{name: path for name, path in libraries.items() if path}}
    streams = {"stdout": log, "stderr": subprocess.STDOUT}
    try:
        return subprocess.run(command, cwd=root, timeout=limit, env=environment, **streams).returncode
    except subprocess.TimeoutExpired:
        return "no time"


def refuse(why):
    print(f"error: {why}", file=sys.stderr)
    sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default=os.environ.get("OUT", "gpu-results"))
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--cases", default="")
    parser.add_argument("--choices")
    parser.add_argument("--under", default="")
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    lacking = missing(options)
    if lacking:
        refuse(lacking)
    os.makedirs(options.output, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        in_place = options.here
        node = "node" if in_place else unpacked(folder)
        root = os.path.dirname(os.path.dirname(HERE)) if in_place else folder
        sys.exit(bench(options, end, folder, node, root))


def bench(options, end, folder, node, root):
    sys.path.insert(0, os.path.join(root, "bench/gpu"))
    peers = None
    if not options.dry:
        import peers
    worker = Worker(node, root, options)
    machine = worker.ask(what="cases")
    named = [name for name in options.cases.split(",") if name]
    known = [case["name"] for case in machine["cases"]]
    for name in named:
        if name not in known:
            worker.close()
            refuse(f"--cases {name}: there are {', '.join(known)}")
    cases = [case for case in machine["cases"] if not named or case["name"] in named]
    if options.dry:
        # Those of one form are the same at small sizes.
        forms = {(case["entry"], str(case["sizes"]), str(case.get("allowed", []))): case for case in reversed(cases)}
        cases = list(forms.values())[::-1]
    results, rows = {}, []
    report = {"device": machine["device"], "gpu": machine.get("gpu"), "results": results}
    if peers:
        report["peers"] = peers.describe()
        if not peers.notices_a_fault():
            raise RuntimeError("a planted fault was not noticed: no result would tell anything")
        report["copy GB/s"] = peers.copy_rate() / 1e9
        print(f"{machine['device']}: a copy moves {report['copy GB/s']:.0f} GB/s", flush=True)
    print("\n".join(table([])[:1]))
    for case in cases:
        if time.monotonic() + 20 > end:
            results[case["name"]] = {"skipped": "no time was left"}
            continue
        # What PyTorch compiles takes seconds each.
        has_time = end - time.monotonic() > 30 * options.minutes
        result = measured(worker, case, peers, folder, has_time, options)
        if "failed" in result:
            # A kernel that faults takes all that its process has on the GPU with it.
            worker.close()
            worker = Worker(node, root, options)
        results[case["name"]] = result
        rows.append(row(case, result))
        print("| " + " | ".join(rows[-1]) + " |", flush=True)
        write(options.output, report, rows)
    if options.choices:
        with open(options.choices) as file:
            choices = json.load(file)
        report["choices"] = measure_choices(worker, machine["cases"], choices, peers, folder, end)
        write(options.output, report, rows)
    worker.close()
    steps = {}
    target = ["ptx"] + (["--emulator"] if options.dry else [])
    commands = {
        "nccl-one-rank": [node, "dist/bench/gpu/one-rank.js"],
        "programs-ptx": [node, "dist/bench/gpu/programs.js", *target],
        "programs-wgsl": [node, "dist/bench/gpu/programs.js", "wgsl"],
        "wgsl": [node, "dist/bench/main.js", "usual", "shapes"],
    }
    for name, command in {} if options.dry or named else commands.items():
        left = min(STEP_SECONDS, end - time.monotonic())
        with open(os.path.join(options.output, f"{name}.txt"), "w") as log:
            steps[name] = other_step(command, root, left, log, peers) if left > 10 else "no time"
        print(f"{name}: status {steps[name]}", flush=True)
    report["steps"] = steps
    write(options.output, report, rows)
    wrong = any(result.get("wrong") for result in results.values()) or steps.get("programs-ptx") == 1
    return 1 if wrong else 0


def write(output, report, rows):
    with open(os.path.join(output, "results.json"), "w") as file:
        json.dump(report, file, indent=1)
    with open(os.path.join(output, "results.md"), "w") as file:
        file.write(f"{report['device']}\n\n" + "\n".join(table(rows)) + "\n")


if __name__ == "__main__":
    main()
