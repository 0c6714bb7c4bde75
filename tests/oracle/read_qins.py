#!/usr/bin/env python3
"""A second reader of .qins files, written only from engine/format/FORMAT.md.

It shares no code with the engine and was written without reading it, so that a
file on which both agree is a file that the specification describes. It refuses
everything the specification rules out, and names what is wrong and where.

    read_qins.py FILE                        validate, print a summary (JSON)
    read_qins.py FILE --tensor NAME [--rows N]   print decoded values
    read_qins.py FILE --against HF_DIR       compare with the checkpoint it was made from

Exit code 0, or 1 with a message. Needs nothing but Python 3; hashes are checked
where the module `xxhash` can be imported, and the summary says whether they were.
"""

import argparse
import json
import sys

from qins_checkpoint import compare
from qins_format import QinsFile, Refused, require


def print_tensor(qins, name, n_rows):
    require(name in qins.tensors, "--tensor", f'there is no tensor "{name}"')
    tensor = qins.tensors[name]
    n_rows = tensor["rows"] if n_rows is None else min(n_rows, tensor["rows"])
    rows = qins.rows(tensor)
    for row in range(n_rows):
        print(" ".join(f"{value:.9g}" for value in rows.decode(row, 1)))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Validate a .qins file, and look into it.",
                                     usage="%(prog)s FILE [--tensor NAME [--rows N] | --against HF_DIR]")
    parser.add_argument("file")
    parser.add_argument("--tensor", metavar="NAME", help="print the decoded values of a tensor")
    parser.add_argument("--rows", metavar="N", type=int, help="only its first N rows")
    parser.add_argument("--against", metavar="HF_DIR", help="the checkpoint the file was made from")
    parser.error = lambda what: parser.exit(1, f"{parser.format_usage()}{what}\n")
    return parser.parse_args()


def run(arguments):
    with open(arguments.file, "rb") as file:
        qins = QinsFile(file.read())
    if arguments.tensor is not None:
        print_tensor(qins, arguments.tensor, arguments.rows)
        return
    summary = qins.summary()
    if arguments.against is not None:
        summary["against"] = compare(qins, arguments.against)
    print(json.dumps(summary, indent=2))


def main():
    arguments = parse_arguments()
    try:
        run(arguments)
    except Refused as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{arguments.file}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
