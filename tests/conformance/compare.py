"""Compares a replay's results with the list of cases that pass, which may only grow.

compare.py missing RESULTS                      listed cases that failed, one a line
compare.py check RESULTS [AGAIN] [--record]     the verdict; with --record, newly passing cases join the list
"""

import json
import pathlib
import sys

LIST = pathlib.Path(__file__).with_name("passing.txt")
LEAST_SHARE = 0.60


def cases(path):
    """The cases of a results file: name to (semantic, strict)."""
    file = pathlib.Path(path)
    if not file.is_file():
        return {}
    run = [case for case in json.loads(file.read_text())["cases"] if not case.get("skipped")]
    return {f"{case['area']}/{case['name']}": (bool(case["semantic"]), bool(case["strict"])) for case in run}


def listed():
    if not LIST.exists():
        return set()
    return {line.strip() for line in LIST.read_text().splitlines() if line.strip() and not line.startswith("#")}


def check(first, again, record):
    results = {**cases(first)}
    for name, (semantic, strict) in cases(again).items():
        before = results.get(name, (False, False))
        results[name] = (before[0] or semantic, before[1] or strict)
    passing = {name for name, (semantic, _) in results.items() if semantic}
    strict = sum(1 for _, is_strict in results.values() if is_strict)
    areas = {}
    for name, (semantic, _) in results.items():
        area = areas.setdefault(name.split("/")[0], [0, 0])
        area[0] += semantic
        area[1] += 1
    for area, (good, total) in sorted(areas.items()):
        print(f"{area:18} {good:3} of {total:3}")
    lost = sorted(listed() - passing)
    gained = sorted(passing - listed())
    share = len(passing) / max(len(results), 1)
    print(f"semantic {len(passing)} of {len(results)} ({share:.1%}), strict {strict} ({strict / max(len(results), 1):.1%})")
    if record:
        header = "# Recorded behaviours that Atoll answers as Kubernetes does; this list only grows.\n"
        LIST.write_text(header + "".join(f"{name}\n" for name in sorted(listed() | passing)))
        print(f"{len(gained)} cases joined {LIST.name}")
    elif gained:
        print(f"{len(gained)} cases pass that are not listed; add them with tests/conformance/run.sh --record:")
        print("  " + " ".join(gained))
    empty = [area for area, (good, _) in areas.items() if good == 0]
    for name in lost:
        print(f"LOST: {name} is listed and does not pass any more")
    for area in empty:
        print(f"EMPTY: no case of {area} passes")
    if share < LEAST_SHARE:
        print(f"TOO FEW: {share:.1%} pass, {LEAST_SHARE:.0%} must")
    good = not lost and not empty and share >= LEAST_SHARE
    print(f"{len(passing)} passed, {len(lost)} failed")
    return 0 if good else 1


def main():
    verb, *rest = sys.argv[1:]
    record = "--record" in rest
    files = [word for word in rest if not word.startswith("--")]
    if verb == "missing":
        passing = {name for name, (semantic, _) in cases(files[0]).items() if semantic}
        print("\n".join(sorted(listed() - passing)), end="\n" if listed() - passing else "")
        return 0
    return check(files[0], files[1] if len(files) > 1 else "", record)


if __name__ == "__main__":
    sys.exit(main())
