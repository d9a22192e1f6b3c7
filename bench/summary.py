#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Prints what benchmarks found: summary.py LINES.jsonl

A row for each figure of each variant: the median of all rounds and, where there was more than one, the
least and the most. Where they are from is said once, or as often as it changed.
"""
import pathlib
import statistics
import sys

from stand import read_lines

ABOUT = ("question", "variant", "round", "at", "machine", "commit", "postgres", "per_second", "answer")


def figures(line, prefix=""):
    """[(name, number)] of a line, those of its dicts as name.key."""
    found = []
    for key, value in line.items():
        if isinstance(value, dict):
            found += figures(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append((prefix + key, value))
    return found


def source(line):
    machine, postgres = line["machine"], line["postgres"]
    settings = ", ".join(f"{name} {value}" for name, value in postgres.items() if name != "server_version")
    return (f"commit {line['commit']}, {line['at'][:10]}; {machine['cpus']} x {machine['cpu']},"
            f" {machine['memory_gb']} GB, Linux {machine['kernel']}; Postgres"
            f" {postgres['server_version']}: {settings}")


def grouped(lines):
    """{(question, variant): {figure: [of each round]}}"""
    found = {}
    for line in lines:
        kept = {key: value for key, value in line.items() if key not in ABOUT}
        rows = found.setdefault((line["question"], line["variant"]), {})
        for name, value in figures(kept):
            rows.setdefault(name, []).append(value)
    return found


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: summary.py LINES.jsonl")
    lines = read_lines(pathlib.Path(sys.argv[1]))
    for text in dict.fromkeys(map(source, lines)):
        print(text)
    for (question, variant), rows in grouped(lines).items():
        print(f"\n{question}, {variant}")
        for name, values in rows.items():
            apart = f"  ({number(min(values))} to {number(max(values))})" if min(values) < max(values) else ""
            print(f"  {name:<28} {number(statistics.median(values)):>12}{apart}")


if __name__ == "__main__":
    main()
