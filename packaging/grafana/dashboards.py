"""
Writes the Grafana dashboards beside it: dashboards/lockstep-*.json, an overview and one per stage.

    python3 packaging/grafana/dashboards.py

The tables below are the dashboards; a test compares the files with them, and runs every query of
every panel against a Prometheus that has scraped daemons at work.
"""

import json
import sys
from pathlib import Path

J = 'job=~"$job"'
RATE = "[$__rate_interval]"


def rate(metric, by=None, labels=""):
    inner = f"rate({metric}{{{J}{labels}}}{RATE})"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantiles(metric, by):
    """Half, nineteen of twenty, ninety-nine of a hundred were faster."""
    return [(f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{J}}}{RATE})))",
             f"{q:.0%} {{{{{by}}}}}") for q in (0.5, 0.95, 0.99)]


def one(expr, legend=""):
    return [(expr, legend)]


def gauge(metric, legend="{{instance}}"):
    return one(f"{metric}{{{J}}}", legend)


# (title, kind, unit, queries, what it tells)
OVERVIEW = [
    ("Behind", "stat", "s", one(f"max by (stage) (lockstep:lag_seconds{{{J}}})", "{{stage}}"),
     "Age of the oldest change that a stage has not passed on. True when nothing happens, too."),
    ("Ready", "stat", "bool_yes_no",
     one(f"min by (stage) (lockstep_ready{{{J}}} * on (job, instance) group_left (stage)"
         f" lockstep_build_info{{{J}}})", "{{stage}}"), "What /readyz says."),
    ("Alerts", "stat", "none",
     one('count(ALERTS{alertname=~"Lockstep.*", alertstate="firing"}) or vector(0)'),
     "How many of Lockstep's alerts fire; docs/runbooks says what to do."),
    ("Out of balance", "stat", "none",
     one(f"max by (stage) (abs(lockstep:balance{{{J}}}))", "{{stage}}"),
     "Anything but 0 is a defect: a stage cannot say what became of something."),
    ("Behind", "timeseries", "s", one(f"lockstep:lag_seconds{{{J}}}", "{{stage}} {{instance}}"), ""),
    ("Behind, records", "timeseries", "none", [
        (f"lockstep_capture_lag_estimated_records{{{J}}}", "capture {{instance}} (estimate)"),
        (f"lockstep_transform_lag_records{{{J}}}", "transform {{instance}}"),
        (f"lockstep_apply_lag_records{{{J}}}", "apply {{instance}}")],
     "Not read yet. Of capture: its bytes by the binlog's bytes per watched row lately."),
    ("Behind, bytes", "timeseries", "bytes", [
        (f"lockstep_capture_lag_bytes{{{J}}}", "capture {{instance}}"),
        (f"lockstep_transform_lag_estimated_bytes{{{J}}}", "transform {{instance}} (estimate)"),
        (f"lockstep_apply_lag_estimated_bytes{{{J}}}", "apply {{instance}} (estimate)")],
     "Not read yet. Of transform and apply: their records by the mean size of those read lately."),
    ("From commit to target", "timeseries", "s",
     quantiles("lockstep_apply_end_to_end_seconds", "clock"),
     "clock source: from the source's commit; clock capture: from the row's arrival at capture."),
    ("Throughput", "timeseries", "cps", [
        (rate("lockstep_capture_rows_total"), "rows captured"),
        (rate("lockstep_transform_records_total"), "states sent"),
        (rate("lockstep_apply_records_total", labels=',outcome=~"applied|equal"'), "applied")], ""),
    ("Open at apply", "timeseries", "none",
     one(f"sum by (state) (lockstep_apply_open{{{J}}})", "{{state}}"), ""),
    ("Parked", "timeseries", "none",
     one(f"sum by (cause) (lockstep_apply_parked{{{J}}}) or vector(0)", "{{cause}}"),
     "What waits for something, by cause."),
    ("Dead letters", "timeseries", "none",
     one(f"sum by (stage, cause) (lockstep:dead_letters{{{J}}})", "{{stage}} {{cause}}"),
     "capture and transform: all there ever were; apply: those that were not repaired."),
    ("Snapshot", "timeseries", "none", [
        (f"max(lockstep_capture_snapshot_rows{{{J}}})", "rows"),
        (f"max(lockstep_capture_snapshot_estimate{{{J}}})", "estimate")], ""),
    ("Memory", "timeseries", "bytes", gauge("process_resident_memory_bytes"), ""),
]

CAPTURE = [
    ("Behind", "timeseries", "s", gauge("lockstep_capture_lag_seconds"), ""),
    ("Binlog not read yet", "timeseries", "bytes", gauge("lockstep_capture_lag_bytes"),
     "As of the last look at the source's list of binlogs."),
    ("Rows not read yet, about", "timeseries", "none",
     gauge("lockstep_capture_lag_estimated_records"),
     "An estimate: those bytes by the binlog's bytes per watched row lately."),
    ("Rows by table", "timeseries", "cps",
     one(rate("lockstep_capture_rows_total", "table"), "{{table}}"), ""),
    ("What became of them", "timeseries", "cps", [
        (rate("lockstep_capture_published_total"), "published"),
        (rate("lockstep_capture_filtered_total", "reason"), "filtered: {{reason}}"),
        (rate("lockstep_capture_dead_letters_total", "cause"), "dead: {{cause}}")], ""),
    ("Bytes", "timeseries", "Bps", [
        (rate("lockstep_capture_read_bytes_total"), "binlog read"),
        (rate("lockstep_capture_sent_bytes_total"), "given to Kafka")], ""),
    ("Binlog events, Kafka transactions", "timeseries", "cps", [
        (rate("lockstep_capture_events_total"), "events"),
        (rate("lockstep_capture_commits_total"), "transactions")], ""),
    ("Headroom", "timeseries", "none", [
        (f"lockstep_capture_binlog_headroom_files{{{J}}}", "files before ours {{instance}}")],
     "Binlog files that the source purges before the one with our position."),
    ("Headroom in bytes", "timeseries", "bytes", gauge("lockstep_capture_binlog_headroom_bytes"), ""),
    ("Time until age purges what was not read", "timeseries", "s",
     gauge("lockstep_capture_binlog_headroom_seconds"),
     "None where the source does not purge by age."),
    ("Snapshot", "timeseries", "none", [
        (f"lockstep_capture_snapshot_rows{{{J}}}", "rows {{instance}}"),
        (f"lockstep_capture_snapshot_estimate{{{J}}}", "estimate {{instance}}")], ""),
    ("Snapshot's rate", "timeseries", "cps",
     gauge("lockstep_capture_snapshot_rows_per_second"), "0: none runs."),
    ("Snapshot's end in", "timeseries", "s", gauge("lockstep_capture_snapshot_eta_seconds"),
     "-1: not known, or none runs."),
    ("Snapshot waits, runs", "timeseries", "none", [
        (f"lockstep_capture_snapshot_running{{{J}}}", "runs {{instance}}"),
        (f"lockstep_capture_snapshot_waits{{{J}}}", "waits for the stream {{instance}}")], ""),
    ("In the open transaction", "timeseries", "none", gauge("lockstep_capture_in_flight"), ""),
    ("Retries", "timeseries", "cps", [
        (f"sum by (cause) (rate(lockstep_capture_retries_total{{{J}}}{RATE})) or vector(0)",
         "{{cause}}"),
        (rate("lockstep_capture_reconnects_total"), "connections made again")], ""),
    ("Sent twice, left out", "timeseries", "none", [
        (f"lockstep_capture_repeated_transactions_total{{{J}}}", "repeated {{instance}}"),
        (f"lockstep_capture_gtid_gaps_total{{{J}}}", "GTID gaps {{instance}}")], ""),
    ("Commands", "timeseries", "none",
     one(f"sum by (result) (lockstep_capture_commands_total{{{J}}})", "{{result}}"), ""),
    ("Active", "timeseries", "none", gauge("lockstep_capture_active"), "0: stands by."),
    ("Age of the last transaction", "timeseries", "s",
     gauge("lockstep_capture_last_transaction_age_seconds"), ""),
    ("Place in the binlog", "timeseries", "bytes", gauge("lockstep_capture_binlog_position_bytes"), ""),
    ("Binlog file", "timeseries", "none", gauge("lockstep_capture_binlog_file"), ""),
    ("Since the last progress", "timeseries", "s",
     one(f"time() - lockstep_capture_last_progress_timestamp_seconds{{{J}}} > 0", "{{instance}}"), ""),
    ("Balance", "timeseries", "none", gauge("lockstep_capture_balance"), ""),
    ("Processor", "timeseries", "percentunit",
     one(f"rate(process_cpu_seconds_total{{{J}}}{RATE}) * on (job, instance)"
         f' group_left (stage) lockstep_build_info{{{J},stage="capture"}}', "{{instance}}"), ""),
]

TRANSFORM = [
    ("Behind", "timeseries", "s", gauge("lockstep_transform_lag_seconds"), ""),
    ("Not read yet", "timeseries", "none", gauge("lockstep_transform_lag_records"),
     "Offsets of its topics."),
    ("Not read yet, about so many bytes", "timeseries", "bytes",
     gauge("lockstep_transform_lag_estimated_bytes"),
     "An estimate: those offsets by the mean size of the records read lately."),
    ("Rows, states", "timeseries", "cps", [
        (rate("lockstep_transform_rows_total"), "rows in"),
        (rate("lockstep_transform_records_total", "kind"), "{{kind}}")], ""),
    ("Left out", "timeseries", "cps",
     one(rate("lockstep_transform_filtered_total", "reason"), "{{reason}}"), ""),
    ("Dead letters", "timeseries", "none",
     one(f"sum by (cause) (lockstep_transform_dead_letters_total{{{J}}}) or vector(0)", "{{cause}}"), ""),
    ("Warnings", "timeseries", "none",
     one(f"sum by (what) (lockstep_transform_warnings_total{{{J}}}) or vector(0)", "{{what}}"), ""),
    ("Bytes", "timeseries", "Bps", [
        (rate("lockstep_transform_received_bytes_total"), "read"),
        (rate("lockstep_transform_sent_bytes_total"), "sent")], ""),
    ("Commits", "timeseries", "cps", [
        (rate("lockstep_transform_commits_total"), "commits"),
        (f"sum by (cause) (rate(lockstep_transform_retries_total{{{J}}}{RATE})) or vector(0)",
         "done again: {{cause}}")], ""),
    ("Time of a commit", "timeseries", "s",
     quantiles("lockstep_transform_commit_seconds", "instance"), ""),
    ("In the open transaction", "timeseries", "none", gauge("lockstep_transform_in_flight"), ""),
    ("Snapshot", "timeseries", "none", [
        (f"lockstep_transform_snapshot_rows{{{J}}}", "rows {{instance}}"),
        (f"lockstep_transform_snapshot_running{{{J}}}", "runs {{instance}}")], ""),
    ("Small topics read again", "timeseries", "none",
     gauge("lockstep_transform_barriers_total"), "For a storage, mimetype or account not yet known."),
    ("Partitions", "timeseries", "none", gauge("lockstep_transform_partitions"), ""),
    ("Since the last progress", "timeseries", "s",
     one(f"time() - lockstep_transform_last_progress_timestamp_seconds{{{J}}} > 0", "{{instance}}"), ""),
    ("Balance", "timeseries", "none", gauge("lockstep_transform_balance"), ""),
]

APPLY = [
    ("Behind", "timeseries", "s", gauge("lockstep_apply_lag_seconds"), ""),
    ("Not read yet", "timeseries", "none", gauge("lockstep_apply_lag_records"),
     "Offsets of its topics."),
    ("Not read yet, about so many bytes", "timeseries", "bytes",
     gauge("lockstep_apply_lag_estimated_bytes"),
     "An estimate: those offsets by the mean size of the records read lately."),
    ("From commit to target", "timeseries", "s",
     quantiles("lockstep_apply_end_to_end_seconds", "clock"), ""),
    ("Records", "timeseries", "cps", [
        (rate("lockstep_apply_records_in_total"), "in"),
        (rate("lockstep_apply_records_total", "outcome"), "{{outcome}}")], ""),
    ("Open", "timeseries", "none",
     one(f"sum by (state) (lockstep_apply_open{{{J}}})", "{{state}}"), ""),
    ("Parked", "timeseries", "none",
     one(f"sum by (cause) (lockstep_apply_parked{{{J}}}) or vector(0)", "{{cause}}"), ""),
    ("Oldest that is parked", "timeseries", "s",
     one(f"max by (cause) (lockstep_apply_parked_oldest_seconds{{{J}}}) or vector(0)", "{{cause}}"), ""),
    ("Dead letters", "timeseries", "none",
     one(f"sum by (cause) (lockstep_apply_dead{{{J}}}) or vector(0)", "{{cause}}"), ""),
    ("Calls by method", "timeseries", "cps",
     one(rate("lockstep_apply_calls_total", "method"), "{{method}}"), ""),
    ("Calls that did not succeed", "timeseries", "cps",
     one(f'sum by (method, status) (rate(lockstep_apply_calls_total{{{J},status!~"ok|2.."}}{RATE}))'
         " or vector(0)", "{{method}} {{status}}"), "Some are answers: not-found when it looks first."),
    ("Time of a call, 95%", "timeseries", "s",
     one("histogram_quantile(0.95, sum by (le, method) (rate(lockstep_apply_call_seconds_bucket"
         f"{{{J}}}{RATE})))", "{{method}}"), ""),
    ("Calls without an answer yet", "timeseries", "none",
     [*gauge("lockstep_apply_in_flight"), *gauge("lockstep_apply_in_flight_limit")], ""),
    ("Retries", "timeseries", "cps",
     one(f"sum by (cause) (rate(lockstep_apply_retries_total{{{J}}}{RATE})) or vector(0)",
         "{{cause}}"), ""),
    ("Lost at the target", "timeseries", "none", gauge("lockstep_apply_lost_total"),
     "Made by apply, not deleted by it, and not there any more."),
    ("Bytes", "timeseries", "Bps", [
        (rate("lockstep_apply_received_bytes_total"), "from Kafka"),
        (rate("lockstep_apply_content_bytes_total"), "content to the target")], ""),
    ("Ledger's rows not mirrored yet", "timeseries", "none",
     gauge("lockstep_apply_mirror_lag_rows"), ""),
    ("Active", "timeseries", "none", gauge("lockstep_apply_active"), "0: stands by."),
    ("Replayed", "timeseries", "none",
     one(f"sum by (result) (lockstep_apply_replays_total{{{J}}}) or vector(0)", "{{result}}"), ""),
    ("Compared with the target itself", "timeseries", "none", [
        (f"sum by (result) (lockstep_apply_looks_total{{{J}}})", "{{result}}"),
        (f"lockstep_apply_looks_open{{{J}}}", "to be compared {{instance}}")],
     "By replay --reconcile and repair; different: the target was not as the ledger had it."),
    ("Ledger", "timeseries", "bytes", gauge("lockstep_apply_ledger_bytes"), ""),
    ("Rows that go by their parent", "timeseries", "none", gauge("lockstep_apply_astray_rows"),
     "Their path or storage is not what the parent says; lockstep check --source names them."),
    ("Paused, sweeps that wait, snapshot", "timeseries", "none", [
        (f"lockstep_apply_paused{{{J}}}", "paused {{instance}}"),
        (f"lockstep_apply_sweeps_waiting{{{J}}}", "sweeps {{instance}}"),
        (f"lockstep_apply_snapshot_running{{{J}}}", "snapshot {{instance}}")], ""),
    ("Since the last progress", "timeseries", "s",
     one(f"time() - lockstep_apply_last_progress_timestamp_seconds{{{J}}} > 0", "{{instance}}"), ""),
    ("Balance", "timeseries", "none", gauge("lockstep_apply_balance"), ""),
]

DASHBOARDS = {"overview": OVERVIEW, "capture": CAPTURE, "transform": TRANSFORM, "apply": APPLY}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(n, x, y, width, height, row):
    title, kind, unit, queries, description = row
    targets = [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr,
                "legendFormat": legend, **({"instant": True} if kind == "stat" else {"range": True})}
               for i, (expr, legend) in enumerate(queries)]
    return {"id": n, "type": kind, "title": title, "description": description,
            "datasource": SOURCE, "targets": targets,
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
            "options": {} if kind == "stat" else {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"}}}


def panels(rows):
    """Small numbers in a line of their own, then two graphs side by side."""
    small = [r for r in rows if r[1] == "stat"]
    out = [panel(i + 1, i * (24 // len(small)), 0, 24 // len(small), 4, r)
           for i, r in enumerate(small)]
    for i, row in enumerate(r for r in rows if r[1] != "stat"):
        out.append(panel(len(out) + 1, i % 2 * 12, (4 if small else 0) + i // 2 * 8, 12, 8, row))
    return out


def dashboard(name, rows):
    return {
        "uid": f"lockstep-{name}", "title": f"Lockstep {name}", "tags": ["lockstep"],
        "schemaVersion": 37, "version": 1, "editable": False, "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"}, "timezone": "",
        "links": [{"type": "dashboards", "tags": ["lockstep"], "title": "Lockstep",
                   "asDropdown": False, "keepTime": True, "includeVars": True}],
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"},
            {"name": "job", "type": "query", "label": "Job", "datasource": SOURCE, "refresh": 2,
             "includeAll": False, "multi": True,
             "query": {"query": "label_values(lockstep_build_info, job)", "refId": "job"}}]},
        "annotations": {"list": [
            {"name": "Alerts", "datasource": SOURCE, "enable": True, "iconColor": "red",
             "expr": 'ALERTS{alertname=~"Lockstep.*", alertstate="firing"}',
             "titleFormat": "{{alertname}}", "textFormat": "{{stage}} {{instance}} {{cause}}"}]},
        "panels": panels(rows)}


def files():
    """name -> text of each file."""
    return {f"lockstep-{name}.json": json.dumps(dashboard(name, rows), indent=1) + "\n"
            for name, rows in DASHBOARDS.items()}


def main():
    folder = Path(__file__).parent / "dashboards"
    for name, text in files().items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
