#!/usr/bin/env python3
"""Writes manifests/schema/*.json: the structural facts of Kubernetes' built-in types, without descriptions.

Two public sources are read, and joined by definition and field name:

* `_definitions.json` of the PyPI package kubernetes-validate (all OpenAPI definitions of a Kubernetes version);
* the Go types of k8s.io/api, apimachinery, apiextensions-apiserver and kube-aggregator of the same version, for what
  OpenAPI does not tell: `+default` markers, which fields are always written, protobuf field numbers.

    pip download --no-deps kubernetes-validate==1.37.0 && unzip kubernetes_validate-*.whl
    tools/gen-schema.py --definitions .../v1.36.0-local/_definitions.json --go DIR --out manifests/schema

DIR holds the four Go modules as api/, apimachinery/, apiextensions-apiserver/ and kube-aggregator/.
The form of the tables is described in manifests/schema/README.md.
"""

import argparse
import json
import pathlib
import re
import sys

# Groups whose v1 (and, for autoscaling, v2) kinds are served; every type reachable from them is kept.
ROOT_PACKAGES = [
    "core.v1", "apps.v1", "batch.v1", "autoscaling.v1", "autoscaling.v2", "policy.v1", "networking.v1", "rbac.v1",
    "coordination.v1", "events.v1", "discovery.v1", "apiextensions.v1", "admissionregistration.v1", "authentication.v1",
    "authorization.v1", "certificates.v1", "storage.v1", "scheduling.v1", "node.v1", "flowcontrol.v1",
    "apiregistration.v1", "resource.v1",
]
ROOT_META = ["DeleteOptions", "Status", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "WatchEvent"]

PREFIXES = [
    ("io.k8s.api.", ""),
    ("io.k8s.apiextensions-apiserver.pkg.apis.", ""),
    ("io.k8s.kube-aggregator.pkg.apis.", ""),
    ("io.k8s.apimachinery.pkg.apis.", ""),
    ("io.k8s.apimachinery.pkg.api.", ""),
    ("io.k8s.apimachinery.pkg.util.", ""),
    ("io.k8s.apimachinery.pkg.", ""),
]

# Types with an encoding of their own; they are words of the table, not definitions.
SPECIAL = {
    "resource.Quantity": "quantity",
    "intstr.IntOrString": "intOrString",
    "meta.v1.Time": "time",
    "meta.v1.MicroTime": "microTime",
    "meta.v1.FieldsV1": "fieldsV1",
    "runtime.RawExtension": "rawExtension",
    "apiextensions.v1.JSON": "json",
    "apiextensions.v1.JSONSchemaPropsOrBool": "schemaOrBool",
    "apiextensions.v1.JSONSchemaPropsOrArray": "schemaOrArray",
    "apiextensions.v1.JSONSchemaPropsOrStringArray": "schemaOrStrings",
}

GO_PACKAGES = {
    "meta.v1": "apimachinery/pkg/apis/meta/v1",
    "runtime": "apimachinery/pkg/runtime",
    "version": "apimachinery/pkg/version",
    "apiextensions.v1": "apiextensions-apiserver/pkg/apis/apiextensions/v1",
    "apiregistration.v1": "kube-aggregator/pkg/apis/apiregistration/v1",
}


def short(name):
    """`io.k8s.api.core.v1.Pod` as `core.v1.Pod`."""
    for prefix, replacement in PREFIXES:
        if name.startswith(prefix):
            return replacement + name[len(prefix):]
    raise SystemExit(f"unknown package of {name}")


class Go:
    """The structs of the Go packages: for each, the fields in order, with inlined ones in place."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.packages = {}

    def package(self, name):
        if name not in self.packages:
            path = self.root / GO_PACKAGES.get(name, "api/" + name.replace(".", "/"))
            self.packages[name] = self.parse(path)
        return self.packages[name]

    def parse(self, path):
        structs, constants, named = {}, {}, {}
        for file in sorted(path.glob("*.go")):
            if file.name.endswith("_test.go") or file.name.startswith("zz_") or file.name == "generated.pb.go":
                continue
            text = file.read_text()
            imports = dict(self.imports(text))
            for match in re.finditer(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
                structs[match[1]] = list(self.fields(match[2], imports))
            for match in re.finditer(r"^type (\w+) ([\w.\[\]*]+)$", text, re.M):
                named[match[1]] = match[2]
            for match in re.finditer(r'^\s*(\w+)\s+\w*\s*= ("[^"\\]*")', text, re.M):
                constants[match[1]] = json.loads(match[2])
        return {"structs": structs, "constants": constants, "named": named}

    @staticmethod
    def imports(text):
        for match in re.finditer(r'^\s*(?:import )?(\w+)?\s*"(k8s\.io/[\w./-]+)"$', text, re.M):
            parts = match[2].split("/")
            alias = match[1] or parts[-1]
            if parts[1] == "apimachinery":
                yield alias, {"v1": "meta.v1"}.get(parts[-1], parts[-1])
            elif parts[1] == "api":
                yield alias, ".".join(parts[2:])

    @staticmethod
    def fields(body, imports):
        markers = []
        for line in body.splitlines():
            line = line.strip()
            if line.startswith("//"):
                markers.append(line[2:].strip())
                continue
            match = re.match(r"(?:(\w+)\s+)?([\w.\[\]*]+)\s+`(.*)`", line)
            if match:
                tags = dict(re.findall(r'(\w+):"([^"]*)"', match[3]))
                if tags.get("json", "-") != "-":
                    name, *flags = tags["json"].split(",")
                    default = next((m[9:] for m in markers if m.startswith("+default=")), None)
                    number = re.match(r"\w+,(\d+)", tags.get("protobuf", ""))
                    wire = tags.get("protobuf", "").split(",")[0]
                    yield {
                        "name": name, "flags": flags, "type": match[2], "default": default, "imports": imports,
                        "number": int(number[1]) if number else 0, "wire": wire,
                    }
            markers = []

    def flat(self, package, struct, numbers=()):
        """The fields by their JSON names, inlined structs dissolved; each with the path of protobuf numbers."""
        fields = {}
        found = self.package(package)["structs"].get(struct)
        if found is None:
            alias = self.package(package)["named"].get(struct)
            return self.flat(package, alias) if alias in self.package(package)["structs"] else None
        for field in found:
            path = [*numbers, field["number"]]
            if not field["name"] and "inline" in field["flags"]:
                prefix, _, name = field["type"].lstrip("*").rpartition(".")
                inner = field["imports"].get(prefix, package) if prefix else package
                if name == "TypeMeta":
                    fields["kind"] = fields["apiVersion"] = {**field, "flags": ["omitempty"], "type": "string", "path": []}
                    continue
                fields.update(self.flat(inner, name, path) or {})
            else:
                fields[field["name"]] = {**field, "package": package, "path": path}
        return fields


def presence(field, kind):
    """How Go writes the field: as set (``None``), dropped when empty, always (``zero``), or ``null`` when absent."""
    pointer = field["type"].startswith("*")
    omit = "omitempty" in field["flags"] or "omitzero" in field["flags"]
    if pointer:
        return None if omit else "null"
    if kind in ("list", "map", "bytes", "json", "fieldsV1"):
        return "drop" if omit else "null"
    if kind == "rawExtension":
        return "null"
    if kind in ("struct", "quantity", "intOrString"):
        return "drop" if "omitzero" in field["flags"] else "zero"
    if kind in ("time", "microTime"):
        return "drop" if "omitzero" in field["flags"] else "null"
    return "drop" if omit else "zero"


class Table:
    def __init__(self, definitions, go):
        self.definitions = {short(name): (name, body) for name, body in definitions.items()}
        self.go = go
        self.types = {}

    def type_of(self, schema):
        """The type expression of a schema: a word, a definition's name, or `[]` / `{}` before another expression."""
        if "$ref" in schema:
            name = short(schema["$ref"].rsplit("/", 1)[1])
            if name not in SPECIAL:
                self.add(name)
            return SPECIAL.get(name, name)
        kind = schema.get("type")
        kind = next(k for k in kind if k != "null") if isinstance(kind, list) else kind
        form = schema.get("format")
        if kind == "array":
            return "[]" + self.type_of(schema["items"])
        if kind == "object":
            inner = schema.get("additionalProperties")
            return "{}" + self.type_of(inner) if inner else "object"
        if kind == "string":
            return "bytes" if form == "byte" else "string"
        if kind == "integer":
            return form or "int64"
        if kind == "number":
            return "double"
        if kind == "boolean":
            return "boolean"
        raise SystemExit(f"no type for {schema}")

    def kind_of(self, expression):
        if expression.startswith("[]"):
            return "list"
        if expression.startswith("{}"):
            return "map"
        return expression if expression in SPECIAL.values() or "." not in expression else "struct"

    def add(self, name):
        if name in self.types:
            return
        self.types[name] = entry = {}
        _, body = self.definitions[name]
        package, _, struct = name.rpartition(".")
        gvks = body.get("x-kubernetes-group-version-kind", [])
        if gvks and package not in ("meta.v1",):
            entry["gvk"] = [[g["group"], g["version"], g["kind"]] for g in gvks]
        if body.get("x-kubernetes-map-type"):
            entry["map"] = body["x-kubernetes-map-type"]
        if body.get("x-kubernetes-unions"):
            entry["unions"] = body["x-kubernetes-unions"]
        go_fields = self.go.flat(package, struct)
        fields = {}
        for field, schema in sorted(body.get("properties", {}).items()):
            found = (go_fields or {}).get(field)
            if found is None:
                print(f"no Go field for {name}.{field}", file=sys.stderr)
            fields[field] = self.field(schema, found, field in body.get("required", []))
        # Required fields stand in the order of the Go struct, which is that of the numbers but for a few types.
        required = body.get("required", [])
        numbers = [fields[field].get("n", 0) for field in required]
        numbers = [number if isinstance(number, list) else [number] for number in numbers]
        if numbers != sorted(numbers) or len(required) > 1 and not any(map(any, numbers)):
            for place, field in enumerate(required):
                fields[field]["r"] = place + 1
        if fields:
            entry["fields"] = fields

    def field(self, schema, found, required):
        expression = self.type_of(schema)
        out = {"t": expression}
        if found:
            numbers = found["path"]
            if numbers and all(numbers):
                out["n"] = numbers[0] if len(numbers) == 1 else numbers
            written = presence(found, self.kind_of(expression))
            if written:
                out["p"] = written
            if found["default"] is not None and not (written == "drop" and not self.default(found)):
                out["d"] = self.default(found)
            elif found["default"] is not None:
                out["z"] = 1
        if required:
            out["r"] = 1
        listed = schema.get("x-kubernetes-list-type")
        if listed:
            out["l"] = schema["x-kubernetes-list-map-keys"] if listed == "map" else listed
        if schema.get("x-kubernetes-map-type"):
            out["m"] = schema["x-kubernetes-map-type"]
        if schema.get("x-kubernetes-patch-strategy"):
            out["s"] = schema["x-kubernetes-patch-strategy"]
        if schema.get("x-kubernetes-patch-merge-key"):
            out["k"] = schema["x-kubernetes-patch-merge-key"]
        return out

    def default(self, found):
        text = found["default"]
        reference = re.match(r"ref\((\w+)\)", text)
        return self.go.package(found["package"])["constants"][reference[1]] if reference else json.loads(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--definitions", required=True)
    parser.add_argument("--go", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    document = json.loads(pathlib.Path(options.definitions).read_text())
    table = Table(document.get("definitions") or document.get("$defs") or document, Go(options.go))
    for name in sorted(table.definitions):
        package = name.rpartition(".")[0]
        if package in ROOT_PACKAGES and name not in SPECIAL:
            table.add(name)
    for name in ROOT_META:
        table.add("meta.v1." + name)
    table.add("version.Info")
    table.add("apiextensions.v1.JSONSchemaProps")

    groups = {}
    for name, entry in sorted(table.types.items()):
        groups.setdefault(name.split(".")[0], {})[name] = entry
    out = pathlib.Path(options.out)
    for group, types in groups.items():
        lines = [f'"{n}":{json.dumps(e, separators=(",", ":"))}' for n, e in sorted(types.items())]
        (out / f"{group}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(table.types)} types, {sum(f.stat().st_size for f in out.glob('*.json'))} bytes")


if __name__ == "__main__":
    main()
