#!/usr/bin/env python3
"""Counts the instructions that each kernel for ARM executes, and compares them with the table of docs/ARM.md.

    instructions.py --emulator QEMU --program COUNT --document docs/ARM.md [--write]

COUNT is Tests/kernels-fuzz's program of the same name. The emulator's log names every block of instructions that it translates, with its
instructions, and every block that it executes; blocks between the marks of the program belong to one call. The counts are exact, and the
same on every machine that has the same compiler; another compiler may differ, so LIMIT percent more are a failure and fewer never are.
"""
import argparse
import pathlib
import re
import subprocess
import sys

LIMIT = 3
BEGIN, END = "<!-- instructions: written by Tests/arm/instructions.py -->", "<!-- end of instructions -->"
# Trace 0: 0x7f.. [00000000/0000000000400680/00000010/ff020200] count_begin
EXECUTED = re.compile(r"^Trace \d+: \S+ \[\w+/(\w+)/[^\]]*\] ?(\S*)")
SETS = ("neon", "neon-dotprod", "neon-i8mm")


def counts(emulator, program):
    """{(kernel, shape, work): {instruction set: instructions}} in the order of the calls."""
    command = [emulator, "-cpu", "max", "-d", "nochain,exec,in_asm", "-D", "/dev/stderr", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    sizes, calls = {}, []
    start, size, counted = None, 0, None
    for line in process.stderr:
        if line.startswith("0x"):
            if start is None:
                start, size = int(line[2:line.index(":")], 16), 0
            size += 1
        elif line.startswith("Trace "):
            found = EXECUTED.match(line)
            place, function = int(found.group(1), 16), found.group(2)
            if start is not None:
                sizes[start], start = size, None
            if function == "count_begin":
                counted = 0
            elif function == "count_end" and counted is not None:
                calls.append(counted)
                counted = None
            elif counted is not None:
                counted += sizes[place]
        elif start is not None:
            sizes[start], start = size, None
    lines = process.stdout.read().splitlines()
    if process.wait() != 0 or len(lines) != len(calls) or not calls:
        sys.exit(f"instructions: {program} ended with {process.returncode}, {len(lines)} calls reported and {len(calls)} counted")
    table = {}
    for line, executed in zip(lines, calls):
        isa, kernel, work, shape = line.split(" ", 3)
        table.setdefault((kernel, shape, int(work)), {})[isa] = executed
    return table


def written(table):
    rows = ["| kernel | shape | " + " | ".join(f"`{isa}`" for isa in SETS) + " | multiply-adds or values per instruction |",
            "|---|---|" + "---:|" * (len(SETS) + 1)]
    for (kernel, shape, work), by_set in table.items():
        cells = [f"{by_set[isa]:,}" if isa in by_set else "" for isa in SETS]
        rates = ", ".join(f"{work / by_set[isa]:.2f}" for isa in SETS if isa in by_set)
        rows.append(f"| `{kernel}` | {shape} | " + " | ".join(cells) + f" | {rates} |")
    return "\n".join(rows)


def kept(text):
    """The counts that the document has: {(kernel, shape, set): instructions}."""
    found = {}
    for line in text[text.index(BEGIN):text.index(END)].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 + len(SETS) and cells[0].startswith("`"):
            for isa, cell in zip(SETS, cells[2:]):
                if cell:
                    found[cells[0].strip("`"), cells[1], isa] = int(cell.replace(",", ""))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("emulator", "program", "document"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    table = counts(given.emulator, given.program)
    text = given.document.read_text()
    before, problems = kept(text), []
    now = {(kernel, shape, isa): executed for (kernel, shape, _), by_set in table.items() for isa, executed in by_set.items()}
    if given.write:
        given.document.write_text(text[:text.index(BEGIN) + len(BEGIN)] + "\n" + written(table) + "\n" + text[text.index(END):])
        print(f"instructions: {len(now)} counts written")
        return
    for key in sorted(now.keys() | before.keys()):
        name = f"{key[0]} ({key[1]}) of {key[2]}"
        if key not in before or key not in now:
            problems.append(f"{name} is {'not in the document' if key in now else 'in the document alone'}; run: make arm-instructions")
        elif now[key] > before[key] * (1 + LIMIT / 100):
            problems.append(f"{name} takes {now[key]:,} instructions, {now[key] / before[key] - 1:+.1%}")
    for problem in problems:
        print(problem, file=sys.stderr)
    fewer = sum(now[key] < before.get(key, 0) for key in now)
    print(f"instructions: {len(now)} counts, {fewer} fewer than in {given.document.name}, {len(problems)} problems")
    sys.exit(bool(problems))


main()
