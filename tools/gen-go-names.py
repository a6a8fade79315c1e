#!/usr/bin/env python3
"""Writes the `go` of types into manifests/schema/*.json: what Go calls the types of fields, where that does not follow from
the tables (named strings, lists and maps), and the inlined structs that a field comes from. Texts of faults name both.

    tools/gen-go-names.py --go DIR --tables manifests/schema

DIR holds Go modules as for gen-schema.py. The form is described in manifests/schema/README.md.
"""

import argparse
import importlib.util
import json
import pathlib
import re

SPEC = importlib.util.spec_from_file_location("gen_schema", pathlib.Path(__file__).with_name("gen-schema.py"))
gen_schema = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gen_schema)


class Names:
    """Names of Go types: those of named types that are no structs count, all others follow from the tables."""

    def __init__(self, root):
        self.go = gen_schema.Go(root)
        self.aliases = {}

    def named(self, package):
        """The types of a package that are not structs, also those whose definitions gen-schema.py does not read."""
        if package not in self.aliases:
            found = {}
            path = self.go.root / gen_schema.GO_PACKAGES.get(package, "api/" + package.replace(".", "/"))
            for file in sorted(path.glob("*.go")):
                if file.name.endswith("_test.go"):
                    continue
                text = file.read_text()
                for match in re.finditer(r"^(?:type|\t)\s*(\w+) (\[\]|map\[|string$|int|bool|float)", text, re.M):
                    if match[0].startswith("type"):
                        found[match[1]] = match[2]
            self.aliases[package] = found
        return self.aliases[package]

    def word(self, package, imports, text):
        """A Go type as reflection shows it, and whether it holds a named type that is no struct."""
        text = text.lstrip("*")
        if text.startswith("[]"):
            inner, counts = self.word(package, imports, text[2:])
            pointer = text[2:].startswith("*")
            return "[]" + ("*" if pointer else "") + inner, counts or pointer
        match = re.match(r"map\[([\w.]+)\](.*)", text)
        if match:
            key, key_counts = self.word(package, imports, match[1])
            value, counts = self.word(package, imports, match[2])
            pointer = match[2].startswith("*")
            return f"map[{key}]{'*' if pointer else ''}{value}", key_counts or counts or pointer
        prefix, _, name = text.rpartition(".")
        if prefix == "types":
            return text, True
        home = imports.get(prefix, prefix) if prefix else package
        if not prefix and (name[:1].islower() or home not in gen_schema.GO_PACKAGES and "." not in home):
            return name, False
        short = home.rpartition(".")[2]
        return f"{short}.{name}", name in self.named(home)

    def of_struct(self, package, struct, inlined=()):
        for field in self.go.package(package)["structs"].get(struct, []):
            if not field["name"] and "inline" in field["flags"]:
                prefix, _, name = field["type"].lstrip("*").rpartition(".")
                if name != "TypeMeta":
                    home = field["imports"].get(prefix, package) if prefix else package
                    yield from self.of_struct(home, name, (*inlined, name))
                continue
            word, counts = self.word(package, field["imports"], field["type"])
            if counts or inlined:
                yield field["name"], ".".join(inlined), word if counts else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--go", required=True)
    parser.add_argument("--tables", required=True)
    options = parser.parse_args()
    names = Names(options.go)
    for file in sorted(pathlib.Path(options.tables).glob("*.json")):
        if file.name in ("sync.json", "tenancy.json", "version.json"):
            continue
        lines = []
        for name, entry in json.loads(file.read_text()).items():
            package, _, struct = name.rpartition(".")
            struct = struct if struct in names.go.package(package)["structs"] else names.go.package(package)["named"].get(struct)
            go = [
                field + ("@" + inlined if inlined else "") + ("=" + word if word else "")
                for field, inlined, word in names.of_struct(package, struct)
                if field in entry.get("fields", {})
            ]
            entry.pop("go", None)
            if go:
                fields = entry.pop("fields")
                entry["go"] = " ".join(go)
                entry["fields"] = fields
            lines.append(f'"{name}":{json.dumps(entry, separators=(",", ":"))}')
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
