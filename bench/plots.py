#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Draws what benchmarks found: plots.py LINES.jsonl [DIR]

One PNG for each question that LINES has an answer to, in DIR or beside LINES. Each says where its
figures are from.
"""
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

COLOUR = "#336791"


def read(path):
    """{question: [lines]}"""
    found = {}
    for line in map(json.loads, path.read_text().splitlines()):
        found.setdefault(line["question"], []).append(line)
    return found


def source(line):
    machine, postgres = line["machine"], line["postgres"]
    return (f"{line['at'][:10]}, commit {line['commit']}, {machine['cpus']} x {machine['cpu']}, "
            f"Postgres {postgres['server_version'].split()[0]}, fdatasync {machine['fdatasync_us']} us")


def save(figure, path, line):
    figure.text(0.01, 0.01, source(line), fontsize=6, color="#666666")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    print(f"bench: {path}", file=sys.stderr)


def bars(directory, name, title, unit, values, line):
    """values: {label: [of each run]}; the bar is the median, the line goes from least to most."""
    figure, axes = pyplot.subplots(figsize=(7, 0.9 + 0.34 * len(values)))
    labels = list(values)
    middles = [statistics.median(values[label]) for label in labels]
    apart = [[middle - min(values[label]) for label, middle in zip(labels, middles)],
             [max(values[label]) - middle for label, middle in zip(labels, middles)]]
    axes.barh(labels, middles, xerr=apart, color=COLOUR, ecolor="#222222", capsize=2)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, directory / f"{name}.png", line)


def by_variant(lines, key):
    found = {}
    for line in lines:
        if not line.get("summary") and key in line:
            found.setdefault(line["variant"], []).append(line[key])
    return found


def plot_enqueue(lines, directory):
    found = by_variant(lines, "jobs_per_s")
    single = {label: values for label, values in found.items() if "connections" in label}
    bulk = {label: values for label, values in found.items() if label not in single}
    bars(directory, "enqueue_bulk", "Enqueueing in bulk", "jobs/s", bulk, lines[0])
    bars(directory, "enqueue_single", "Enqueueing one by one, a commit each", "jobs/s", single, lines[0])


def plot_drain(lines, directory):
    bars(directory, "drain", f"Drain of {lines[0]['jobs']} no-op jobs", "jobs/s",
         by_variant(lines, "jobs_per_s"), lines[0])


def lanes_of_time(directory, name, title, lines, label):
    """Jobs finished in each second."""
    figure, axes = pyplot.subplots(figsize=(7, 3.2))
    for line in lines:
        axes.plot(line["per_second"][1:-1], linewidth=1.2, label=label(line))
    axes.set_ylim(0, 1.1 * max(max(line["per_second"][1:-1], default=1) for line in lines))
    axes.set_xlabel("s")
    axes.set_ylabel("jobs finished in a second")
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, directory / f"{name}.png", lines[0])


def plot_steady(lines, directory):
    lanes_of_time(directory, "steady", "Producers and a worker together", lines,
                  lambda line: f"{line['variant']}: wait p50 {line['wait_ms']['p50']:.1f}, "
                               f"p99 {line['wait_ms']['p99']:.1f} ms")


def plot_pinned(lines, directory):
    drains = by_variant(lines, "jobs_per_s")
    bars(directory, "pinned_drain", "Drain after a while under a pinned horizon", "jobs/s",
         {label.removeprefix("drain pin="): values for label, values in drains.items()}, lines[0])
    lanes_of_time(directory, "pinned_steady", "Producers and a worker, horizon pinned",
                  [line for line in lines if "per_second" in line],
                  lambda line: line["variant"].removeprefix("steady pin="))


def plot_backlog(lines, directory):
    values = {}
    for line in lines:
        for size in ("small", "large"):
            label = f"{line['variant']}, {line[f'{size}_jobs']:,} ready"
            values[label] = [line["claim_cpu_us"][size]["p50"]]
    bars(directory, "backlog", "One claim, by how many jobs wait", "us of CPU time, median", values, lines[0])


def plot_idle(lines, directory):
    waits = [line for line in lines if "pickup_ms" in line]
    values = {f"{line['variant']}, {p}": [] for line in waits for p in ("p50", "p99")}
    for line in waits:
        for p in ("p50", "p99"):
            values[f"{line['variant']}, {p}"].append(line["pickup_ms"][p])
    bars(directory, "pickup", "From before the INSERT to the start of the handler", "ms", values, lines[0])


def plot_scrape(lines, directory):
    values = {line["variant"]: [line["scrape_ms"]["p50"], line["scrape_ms"]["max"]] for line in lines}
    bars(directory, "scrape", "A scrape of /metrics", "ms", values, lines[0])


def plot_peers(lines, directory):
    kinds = {}
    for line in lines:
        if not line.get("summary"):
            what, who = line["variant"].rsplit(" by ", 1)
            kinds.setdefault(what, {}).setdefault(who, []).append(line["value"])
    for number, (what, values) in enumerate(sorted(kinds.items())):
        bars(directory, f"peers_{number + 1}", what, what.split()[-1], values, lines[0])


def main():
    lines = pathlib.Path(sys.argv[1])
    directory = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else lines.parent
    directory.mkdir(parents=True, exist_ok=True)
    for question, answers in read(lines).items():
        plot = globals().get(f"plot_{question}")
        if plot:
            plot(answers, directory)


if __name__ == "__main__":
    main()
