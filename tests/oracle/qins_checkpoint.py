"""Compares a .qins file with the Hugging Face folder it was made from.

Reads safetensors and tokenizer.json by itself. Called by read_qins.py --against.
"""

import json
import math
import os
import struct
from bisect import bisect_right
from operator import mul, sub

from qins_format import (ADDED_IN_MODEL, ADDED_LSTRIP, ADDED_NORMALIZED, ADDED_RSTRIP, ADDED_SINGLE_WORD, ADDED_SPECIAL, BLOCK,
                         BYTE_FALLBACK, FUSE_UNKNOWNS, IGNORE_MERGES, NO_ID, PLAIN_OF_SOURCE, CODE_BITS, CodedRows, PlainRows, Refused, check_hash,
                         code_value, payload_bytes, payload_of, plain_values, require)


class Safetensors:
    """u64 length of the JSON header, the header, then the tensors' bytes."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        require(len(self.data) >= 8, path, "shorter than 8 bytes")
        (size,) = struct.unpack_from("<Q", self.data, 0)
        require(size <= len(self.data) - 8, path, f"a header of {size} bytes")
        self.header = self.data[8:8 + size]
        self.tensors = json.loads(self.header)
        self.tensors.pop("__metadata__", None)

    def tensor(self, name):
        """(dtype, shape, bytes)"""
        entry = self.tensors[name]
        base = 8 + len(self.header)
        begin, end = entry["data_offsets"]
        require(0 <= begin <= end <= len(self.data) - base, self.path, f"{name} is outside the file")
        return entry["dtype"], entry["shape"], self.data[base + begin:base + end]


class Checkpoint:
    def __init__(self, folder):
        self.folder = folder
        index = os.path.join(folder, "model.safetensors.index.json")
        names = ["model.safetensors"]
        if os.path.exists(index):
            with open(index, encoding="utf-8") as file:
                names = sorted(set(json.load(file)["weight_map"].values()))
        self.files = {name: Safetensors(os.path.join(folder, name)) for name in names}
        self.file_of = {tensor: file for file in self.files.values() for tensor in file.tensors}

    def tensor(self, name):
        require(name in self.file_of, self.folder, f"there is no tensor {name}")
        return self.file_of[name].tensor(name)

    def check_sources(self, sources):
        for source in sources:
            where = f"provenance, {source['name']}"
            path = os.path.join(self.folder, source["name"])
            require(os.path.isfile(path), where, f"there is no {path}")
            size = os.path.getsize(path)
            require(size == source["bytes"], where, f"has {size} bytes, not {source['bytes']}")
            if source["name"] in self.files:
                check_hash(self.files[source["name"]].header, source["hash"], where)
            else:
                with open(path, "rb") as file:
                    check_hash(file.read(), source["hash"], where)


class NearestCode:
    """How near the codes of a scale byte come to a value."""

    def __init__(self, kind):
        self.kind, self.of_scale = kind, {}

    def distance(self, k, u):
        """The least |u - v|."""
        values = self.of_scale.get(k)
        if values is None:
            codes = [code for code in range(1 << CODE_BITS[self.kind]) if (self.kind, code) != ("qins8", 128)]
            values = self.of_scale[k] = sorted(code_value(self.kind, code, k) for code in codes)
        at = bisect_right(values, u)
        return min(abs(u - v) for v in values[max(0, at - 1):at + 1])


def check_nearest(coded, nearest, first, source, where):
    """Every code of the rows from `first` is one nearest to its source value, within the rounding of v and of T's inverse."""
    cols = coded.cols
    for row in range(len(source) // cols):
        for start, n, bits, scales, codes in coded.parts(first + row):
            (d,) = plain_values("bf16", struct.pack("<H", bits))
            for i in range(min(n, cols - start) if d else 0):
                u, k = source[row * cols + start + i] / d, scales[i // BLOCK]
                missed = abs(u - code_value(coded.kind, codes[i], k))
                if missed > nearest.distance(k, u) + 1.01:
                    raise Refused(f"{where}: row {first + row}, column {start + i}: code {codes[i]} is {missed} "
                                  f"away, another {nearest.distance(k, u)}")


def check_error(tensor, lost, total, where):
    require(total > 0 or lost == 0, where, "something was stored for nothing but zeros")
    computed = math.sqrt(lost / total) if lost else 0.0
    stored = tensor["error"]
    require(abs(computed - stored) <= 1e-6 * computed, where,
            f'"error" is {stored!r}, but the values differ by {computed!r}')
    return computed


def compare_tensor(qins, checkpoint, tensor):
    """Returns the relative RMS of source - stored."""
    where = f"tensor {tensor['name']}"
    rows, cols = tensor["rows"], tensor["cols"]
    dtype, shape, raw = checkpoint.tensor(tensor["name"])
    require(dtype == tensor["source_type"], where,
            f'"source_type" is {tensor["source_type"]}, but the checkpoint has {dtype}')
    require(shape == [rows, cols] or (rows == 1 and shape == [cols]), where,
            f"is {[rows, cols]}, but {shape} in the checkpoint")
    kind = PLAIN_OF_SOURCE[dtype]
    require(len(raw) == payload_bytes(kind, rows, cols, False), where, f"{len(raw)} bytes in the checkpoint")
    check_hash(raw, tensor["source_hash"], where + ", source_hash")
    if kind == tensor["type"] and not tensor["in_panels"]:
        require(raw == payload_of(qins.data, tensor), where, "bytes differ from the checkpoint's")
        return check_error(tensor, 0.0, 0.0, where)
    source_rows, stored_rows = PlainRows({"type": kind, "cols": cols}, raw), qins.rows(tensor)
    calibrated = "calibration" in qins.header["provenance"]  # then other weights make up for a code's error
    nearest = NearestCode(tensor["type"]) if isinstance(stored_rows, CodedRows) and not calibrated else None
    lost = total = 0.0
    step = max(1, 65536 // cols)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        source, stored = source_rows.decode(first, count), stored_rows.decode(first, count)
        if nearest is not None:
            check_nearest(stored_rows, nearest, first, source, where)
        difference = list(map(sub, source, stored))
        lost += sum(map(mul, difference, difference))
        total += sum(map(mul, source, source))
    return check_error(tensor, lost, total, where)


def template_ids(spec):
    """Ids that tokenizer.json puts before and after a text."""
    processor = spec.get("post_processor")
    processors = [] if processor is None else processor.get("processors", [processor])
    processors = [one for one in processors if one["type"] != "ByteLevel"]
    if not processors:
        return (), ()
    processor = processors[0]
    require(len(processors) == 1 and processor["type"] == "TemplateProcessing", "tokenizer.json",
            f"post-processor {processor['type']}")
    around = [], []
    after = 0
    for part in processor["single"]:
        if "Sequence" in part:
            after = 1
        else:
            around[after].extend(processor["special_tokens"][part["SpecialToken"]["id"]]["ids"])
    return tuple(around[0]), tuple(around[1])


def compare_pieces(tokenizer, spec):
    vocab = spec["model"]["vocab"]
    id_of = {piece.encode("utf-8"): token for piece, token in vocab.items()}
    wanted_added = []
    for token in sorted(spec.get("added_tokens") or [], key=lambda token: token["id"]):
        piece = token["content"].encode("utf-8")
        flags = (ADDED_SPECIAL * token["special"] | ADDED_RSTRIP * token["rstrip"] | ADDED_LSTRIP * token["lstrip"]
                 | ADDED_SINGLE_WORD * token["single_word"] | ADDED_NORMALIZED * token["normalized"]
                 | ADDED_IN_MODEL * (piece in id_of))
        wanted_added.append((token["id"], flags))
    id_of.update((token["content"].encode("utf-8"), token["id"])
                 for token in spec.get("added_tokens") or [])
    found = {piece: token for token, piece in enumerate(tokenizer.pieces) if piece}
    for piece in id_of.keys() | found.keys():
        if found.get(piece) != id_of.get(piece):
            raise Refused(f"tokenizer: {piece!r} is id {found.get(piece)}, "
                          f"but {id_of.get(piece)} in tokenizer.json")
    for at, (has, wants) in enumerate(zip(tokenizer.added, wanted_added)):
        require(has == wants, "tokenizer", f"added token {at} is {has}, but {wants} in tokenizer.json")
    require(len(tokenizer.added) == len(wanted_added), "tokenizer",
            f"{len(tokenizer.added)} added tokens, but {len(wanted_added)} in tokenizer.json")


def compare_merges(tokenizer, spec):
    merges = spec["model"]["merges"]
    require(len(merges) == tokenizer.n_merges, "tokenizer",
            f"{tokenizer.n_merges} merges, but {len(merges)} in tokenizer.json")
    pieces = tokenizer.pieces
    for rank, (merge, (left, right, _)) in enumerate(zip(merges, tokenizer.merges)):
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        if (first.encode("utf-8"), second.encode("utf-8")) != (pieces[left], pieces[right]):
            raise Refused(f"tokenizer: merge {rank} is of {pieces[left]!r} and {pieces[right]!r}, "
                          f"but of {first!r} and {second!r} in tokenizer.json")


def compare_tokenizer(tokenizer, path):
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    compare_pieces(tokenizer, spec)
    compare_merges(tokenizer, spec)
    model = spec["model"]
    flags = (BYTE_FALLBACK * bool(model.get("byte_fallback"))
             | FUSE_UNKNOWNS * bool(model.get("fuse_unk")) | IGNORE_MERGES * bool(model.get("ignore_merges")))
    require(tokenizer.flags == flags, "tokenizer",
            f"flags are {tokenizer.flags}, but {flags} in tokenizer.json")
    unknown = model.get("unk_token")
    unk_id = NO_ID if unknown is None else model["vocab"].get(unknown, NO_ID)
    require(tokenizer.unk_id == unk_id, "tokenizer",
            f"unk_id is {tokenizer.unk_id}, but {unk_id} in tokenizer.json")
    around = template_ids(spec)
    require((tokenizer.prefix, tokenizer.suffix) == around, "tokenizer",
            f"ids {tokenizer.prefix} and {tokenizer.suffix} go around a text, "
            f"but {around[0]} and {around[1]} in tokenizer.json")


def compare(qins, folder):
    """Everything that the file took from the checkpoint; returns what was compared."""
    checkpoint = Checkpoint(folder)
    checkpoint.check_sources(qins.header["provenance"]["sources"])
    errors = {name: compare_tensor(qins, checkpoint, tensor)
              for name, tensor in qins.tensors.items()}
    path = os.path.join(folder, "tokenizer.json")
    if qins.tokenizer is not None:
        require(os.path.exists(path), "tokenizer", f"there is no {path}")
        compare_tokenizer(qins.tokenizer, path)
    return {"tensors": len(errors), "lossless": sum(e == 0 for e in errors.values()),
            "tokenizer": qins.tokenizer is not None, "errors": errors}
