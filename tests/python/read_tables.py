"""Reads every table below a windows folder with DuckDB, polars and pyarrow.

All three must see the same rows, the same types and the same nulls. Prints one JSON object:
{"<table>": {"rows": n, "files": n, "columns": {"<column>": "<type>"}, "nulls": {...}}, "ochiai": [...]}.
Exits with 1 and a list of differences on stderr if they disagree.

Usage: read_tables.py <windows folder>
"""

import json
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

OCHIAI = """
with entries as (
    select sum(error_traces) as failed, sum(traces) as all_traces
    from spectra where row_kind = 'entry'
), elements as (
    select kind, service, name, sum(error_traces) as ef, sum(traces) - sum(error_traces) as ep
    from spectra where row_kind = 'element' group by all
)
select kind, service, name, ef, ep, failed - ef as nf, all_traces - failed - ep as np,
       coalesce(ef / sqrt(nullif((ef + nf) * (ef + ep), 0)), 0) as score
from elements, entries order by score desc, kind, service, name limit 10
"""

FLAT = {"text", "int32", "int64", "double", "bool", "time"}


def of_duckdb(kind):
    names = {
        "varchar": "text",
        "integer": "int32",
        "bigint": "int64",
        "double": "double",
        "boolean": "bool",
        "timestamp with time zone": "time",
    }
    if kind.id == "list":
        return f"list<{of_duckdb(kind.children[0][1])}>"
    if kind.id == "map":
        (_, key), (_, value) = kind.children
        return f"map<{of_duckdb(key)},{of_duckdb(value)}>"
    if kind.id == "struct":
        return "struct<" + ",".join(f"{name}:{of_duckdb(child)}" for name, child in kind.children) + ">"
    return names.get(str(kind).lower(), str(kind))


def of_polars(kind):
    if isinstance(kind, pl.List):
        return f"list<{of_polars(kind.inner)}>"
    if isinstance(kind, pl.Map):
        return f"map<{of_polars(kind.key)},{of_polars(kind.value)}>"
    if isinstance(kind, pl.Struct):
        return "struct<" + ",".join(f"{field.name}:{of_polars(field.dtype)}" for field in kind.fields) + ">"
    names = {
        pl.String: "text",
        pl.Int32: "int32",
        pl.Int64: "int64",
        pl.Float64: "double",
        pl.Boolean: "bool",
    }
    if kind == pl.Datetime("us", "UTC"):
        return "time"
    return names.get(kind, str(kind))


def of_arrow(kind):
    if pa.types.is_map(kind):
        return f"map<{of_arrow(kind.key_type)},{of_arrow(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"list<{of_arrow(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ",".join(f"{field.name}:{of_arrow(field.type)}" for field in kind) + ">"
    names = {
        pa.string(): "text",
        pa.int32(): "int32",
        pa.int64(): "int64",
        pa.float64(): "double",
        pa.bool_(): "bool",
        pa.timestamp("us", tz="UTC"): "time",
    }
    return names.get(kind, str(kind))


def read(table, files, differences):
    paths = [str(file) for file in files]
    relation = duckdb.read_parquet(paths, hive_partitioning=False)
    frame = pl.scan_parquet(paths, hive_partitioning=False).collect()
    arrow = ds.dataset(paths, format="parquet").to_table()
    seen = {
        "duckdb": {name: of_duckdb(kind) for name, kind in zip(relation.columns, relation.types)},
        "polars": {name: of_polars(kind) for name, kind in frame.schema.items()},
        "pyarrow": {field.name: of_arrow(field.type) for field in arrow.schema},
    }
    columns = seen["duckdb"]
    rows = {"duckdb": relation.aggregate("count(*)").fetchall()[0][0], "polars": frame.height, "pyarrow": arrow.num_rows}
    if len(set(rows.values())) > 1:
        differences.append(f"{table}: rows {rows}")
    if list(seen["polars"]) != list(columns) or list(seen["pyarrow"]) != list(columns):
        differences.append(f"{table}: columns {seen}")
    nulls = {}
    for name in columns:
        kinds = {engine: found.get(name) for engine, found in seen.items()}
        if len(set(kinds.values())) > 1:
            differences.append(f"{table}.{name}: types {kinds}")
        if columns[name] not in FLAT:
            continue
        counts = {
            "duckdb": relation.filter(f'"{name}" is null').aggregate("count(*)").fetchall()[0][0],
            "polars": frame[name].null_count(),
            "pyarrow": arrow[name].null_count,
        }
        if len(set(counts.values())) > 1:
            differences.append(f"{table}.{name}: nulls {counts}")
        nulls[name] = counts["duckdb"]
    return {"rows": rows["duckdb"], "files": len(files), "columns": columns, "nulls": nulls}


def main():
    base = Path(sys.argv[1]) / "v1"
    report, differences = {}, []
    for folder in sorted(path for path in base.iterdir() if path.is_dir()):
        files = sorted(folder.rglob("*.parquet"))
        if files:
            report[folder.name] = read(folder.name, files, differences)
    if "spectra" in report:
        paths = [str(file) for file in sorted((base / "spectra").rglob("*.parquet"))]
        duckdb.read_parquet(paths, hive_partitioning=False).create_view("spectra")
        rows = duckdb.sql(OCHIAI)
        report["ochiai"] = [dict(zip(rows.columns, row)) for row in rows.fetchall()]
    print(json.dumps(report, indent=1, sort_keys=True))
    if differences:
        print("\n".join(differences), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
