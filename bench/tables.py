#!/usr/bin/env python3
"""Markdown tables from raw rows: tables.py results/FILE.jsonl. Medians over repetitions.

A ratio is one of two medians of the same file; without both there is none.
"""
import json
import statistics
import sys

ORDER = ["direct", "floor", "passthrough", "parlor", "parlor-postgres", "parlor-mysql", "fastapi", "litellm-rs", "portkey", "litellm"]
SERVERS = ["direct", "floor", "parlor", "fastapi"]
# Measured when they are named: they need a database server.
ON_DATABASES = ["parlor-postgres", "parlor-mysql"]
MEMORY_LIMIT_MIB = 60


class Rows:
    def __init__(self, rows):
        self.rows = rows

    def servers(self, *scenarios):
        present = {r["server"] for r in self.rows if r["scenario"] in scenarios and "failed" not in r}
        return [s for s in ORDER if s in present]

    def values(self, server, scenario, path):
        found = []
        for row in self.rows:
            if row.get("server") != server or row["scenario"] != scenario or "failed" in row:
                continue
            value = row
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                found.append(value)
        return found

    def median(self, server, scenario, path):
        values = self.values(server, scenario, path)
        return statistics.median(values) if values else None

    def ratio(self, a, b, scenario, path):
        a, b = self.median(a, scenario, path), self.median(b, scenario, path)
        return f"{a / b:.2f}" if a and b else "-"

    def spread(self, server, scenario, path):
        values = self.values(server, scenario, path)
        if len(values) < 2 or not statistics.median(values):
            return "-"
        return f"{(max(values) - min(values)) / statistics.median(values) * 100:.0f}"

    def errors(self, server, *scenarios):
        return str(sum(sum(self.values(server, s, "errors") + self.values(server, s, "incomplete")) for s in scenarios))


def number(value, digits=2):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}"


def table(title, head, body, note=""):
    if not body:
        return
    print(f"\n### {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for line in body:
        print("| " + " | ".join(line) + " |")
    if note:
        print(f"\n{note}")


def calls(rows):
    scenarios = ["C1", "C16", "C64"]
    head = ["server", "reps"] + [f"rps {s}" for s in scenarios] + ["spread % C16"]
    head += [f"{p} ms {s}" for s in scenarios for p in ("p50", "p99")] + ["CPU us/request C16", "errors"]
    body = []
    for server in rows.servers(*scenarios):
        line = [server, str(len(rows.values(server, "C16", "rps")))]
        line += [number(rows.median(server, s, "rps"), 0) for s in scenarios] + [rows.spread(server, "C16", "rps")]
        line += [number(rows.median(server, s, f"latency_ms.{p}")) for s in scenarios for p in ("p50", "p99")]
        line += [number(rows.median(server, "C16", "cpu_us_per_request"), 0), rows.errors(server, *scenarios)]
        body.append(line)
    table("Chat turns without streaming, provider answers at once (C1, C16, C64: connections)", head, body)
    body = [
        [f"parlor / {other}", *(rows.ratio("parlor", other, s, "rps") for s in scenarios),
         rows.ratio("parlor", other, "C16", "cpu_us_per_request"), rows.ratio("parlor", other, "C1", "latency_ms.p50")]
        for other in ("fastapi", "floor") if set(rows.servers(*scenarios)) >= {"parlor", other}
    ]
    body += [
        [f"floor / {other}", *(rows.ratio("floor", other, s, "rps") for s in scenarios),
         rows.ratio("floor", other, "C16", "cpu_us_per_request"), rows.ratio("floor", other, "C1", "latency_ms.p50")]
        for other in ("fastapi",) if set(rows.servers(*scenarios)) >= {"floor", other}
    ]
    table("Ratios of the above", ["ratio", *(f"rps {s}" for s in scenarios), "CPU/request C16", "p50 C1"], body)


def streams(rows):
    head = ["server", "TTFT p50 ms S1", "TTFT p99 ms S1", "TTFT p50 ms S32", "TTFT p99 ms S32", "transit p50 ms S32",
            "transit p99 ms S32", "tokens/s S32", "CPU us/token S32", "errors"]
    body = []
    for server in rows.servers("S1", "S32"):
        line = [number(rows.median(server, s, f"ttft_ms.{p}")) for s in ("S1", "S32") for p in ("p50", "p99")]
        line += [number(rows.median(server, "S32", f"transit_ms.{p}"), 3) for p in ("p50", "p99")]
        line += [number(rows.median(server, "S32", "tokens_per_s"), 0)]
        line += [number(rows.median(server, "S32", "cpu_us_per_token"), 1), rows.errors(server, "S1", "S32")]
        body.append([server, *line])
    table("Streams (S1: one, a token every 5 ms; S32: thirty-two, a token every 20 ms each)", head, body,
          "The FastAPI baseline has no stream: its document describes none.")


def memory(rows):
    head = ["server", "ready after s", "RSS MiB after start", "RSS MiB with streams held", "peak MiB", "streams open",
            "KiB/stream", "CPU us/token", f"within {MEMORY_LIMIT_MIB} MiB", "errors"]
    body = []
    for server in rows.servers("START", "HOLD"):
        if server == "direct":
            continue
        held = rows.median(server, "HOLD", "hold.after.rss_mib")
        start = rows.median(server, "START", "rss_mib")
        before, open_ = rows.median(server, "HOLD", "hold.before.rss_mib"), rows.median(server, "HOLD", "hold.open")
        each = (held - before) * 1024 / open_ if held and before and open_ else None
        most = max((v for v in (start, held) if v), default=None)
        peak = rows.median(server, "HOLD", "hold.rss_mib_peak")
        if most and peak:
            most = max(most, peak)
        verdict = "-" if most is None else "yes" if most <= MEMORY_LIMIT_MIB else "NO"
        body.append([server, number(rows.median(server, "START", "ready_s")), number(start, 1), number(held, 1),
                     number(peak, 1), number(open_, 0), number(each, 1),
                     number(rows.median(server, "HOLD", "hold.cpu_us_per_token"), 0), verdict,
                     rows.errors(server, "HOLD")])
    table("Memory (streams held with one token a second each)", head, body)


def flat(rows):
    for kind, title in (("N", "conversations in the database"), ("L", "messages in the conversation")):
        sizes = sorted({int(r["scenario"][1:]) for r in rows.rows if r["scenario"][0] == kind and r["scenario"][1:].isdigit()})
        if not sizes:
            continue
        scenarios = [f"{kind}{size}" for size in sizes]
        body = []
        for server in rows.servers(*scenarios):
            line = [number(rows.median(server, s, "latency_ms.p50"), 3) for s in scenarios]
            first = rows.median(server, scenarios[0], "latency_ms.p50")
            last = rows.median(server, scenarios[-1], "latency_ms.p50")
            body.append([server, *line, f"{last / first:.2f}" if first and last else "-", rows.errors(server, *scenarios)])
        head = ["server", *(f"{size:,}" for size in sizes), "last / first", "errors"]
        table(f"A chat turn's p50 in ms at one connection, by {title}", head, body)


def gateways(rows):
    scenarios = ["G1", "G16", "G64"]
    present = rows.servers(*scenarios)
    direct = rows.median("direct", "G1", "latency_ms.p50")
    head = ["gateway", *(f"rps {s[1:]}" for s in scenarios), "spread % 64", "p50 ms 1", "added p50 ms 1", "p99 ms 64",
            "CPU us/request 64", "CPU us/token", "transit p50 ms", "MiB after the run", "peak MiB", "errors"]
    body = []
    for server in present:
        p50 = rows.median(server, "G1", "latency_ms.p50")
        line = [server, *(number(rows.median(server, s, "rps"), 0) for s in scenarios), rows.spread(server, "G64", "rps")]
        line += [number(p50, 3), number(p50 - direct, 3) if p50 and direct and server != "direct" else "-"]
        line += [number(rows.median(server, "G64", "latency_ms.p99")), number(rows.median(server, "G64", "cpu_us_per_request"), 0)]
        line += [number(rows.median(server, "GS32", "cpu_us_per_token"), 1), number(rows.median(server, "GS32", "transit_ms.p50"), 3)]
        line += [number(rows.median(server, "GEND", "rss_mib"), 1), number(rows.median(server, "GEND", "rss_mib_peak"), 1)]
        body.append([*line, rows.errors(server, *scenarios, "GS32")])
    table("Gateways: POST /v1/chat/completions, 1, 16 and 64 connections; 32 streams for the tokens", head, body,
          "Parlor with an API key, a durable ledger line for each call, and quotas; the others as in `gateways.py`.")
    body = [
        [f"parlor / {other}", *(rows.ratio("parlor", other, s, "rps") for s in scenarios),
         rows.ratio("parlor", other, "G64", "cpu_us_per_request"), rows.ratio("parlor", other, "GS32", "cpu_us_per_token")]
        for other in present if other not in ("parlor", "direct") and "parlor" in present
    ]
    table("Ratios of the above", ["ratio", *(f"rps {s[1:]}" for s in scenarios), "CPU/request 64", "CPU/token"], body)


def print_tables(raw):
    rows = Rows(raw)
    for part in (calls, streams, memory, flat, gateways):
        part(rows)
    foreign = [r["foreign_cores"] for r in raw if r.get("foreign_cores") is not None]
    if foreign:
        print(f"\nProcessor time taken by other processes meanwhile: median {statistics.median(foreign):.2f} cores, "
              f"most {max(foreign):.2f}. Over 0.15, times mean little; ratios less so.")
    failed = [r for r in raw if "failed" in r]
    if failed:
        print("\nNot measured:\n")
        for row in failed:
            print(f"- {row.get('server')} {row['scenario']} (repetition {row.get('rep')}): {row['failed']}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as lines:
        print_tables([json.loads(line) for line in lines])
