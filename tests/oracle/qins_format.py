"""The .qins format as engine/format/FORMAT.md describes it: QinsFile refuses everything else.

Knows nothing of checkpoints. Called by read_qins.py and qins_checkpoint.py.
"""

import json
import math
import re
import struct
import sys
from array import array

try:
    import xxhash
except ImportError:
    xxhash = None

MAGIC = b"QINS\r\n\x1a\n"
PANEL, BLOCK, UNIT, STRETCH = 16, 32, 64, 512  # rows; columns that share a scale byte, come in whole, share d
SMALLEST_D, LARGEST_D = 0x0080, 0x7F7F  # bits of the smallest normal BF16, and of the largest finite one
PLAIN_BYTES = {"f32": 4, "f16": 2, "bf16": 2}  # bytes per value
CODE_BITS = {"qins8": 8, "qins6": 6, "qins5": 5, "qins4": 4}
TABLE_A = (-63, -51, -40, -32, -24, -17, -11, -5, 1, 6, 12, 19, 25, 33, 42, 58)
TABLE_B = (-127, -113, -102, -92, -82, -73, -65, -57, -49, -42, -35, -28, -22, -16, -10, -5,
           0, 5, 11, 16, 22, 28, 35, 42, 49, 56, 64, 73, 82, 91, 103, 121)
PLAIN_OF_SOURCE = {"F32": "f32", "F16": "f16", "BF16": "bf16"}
NO_ID = 0xFFFFFFFF
MAX_IDS = 4194304
LARGEST_SIZE = 1 << 53  # of the sizes in the header
ADDED_SPECIAL, ADDED_RSTRIP, ADDED_IN_MODEL, ADDED_LSTRIP, ADDED_SINGLE_WORD, ADDED_NORMALIZED = 1, 2, 4, 8, 16, 32
BYTE_FALLBACK, FUSE_UNKNOWNS, IGNORE_MERGES = 1, 2, 4
PREPEND, REPLACE, CUT, SPLIT, BYTES, FALLBACK, STRIP, DROP = range(1, 9)
HIGHEST_OPTION = {PREPEND: 3, SPLIT: 5, STRIP: 255}  # of the kinds that have one, which is at least 1


class Refused(Exception):
    """The file (or the checkpoint beside it) is not what it has to be."""


def require(condition, where, what):
    if not condition:
        raise Refused(f"{where}: {what}")


# --- bytes and numbers -------------------------------------------------------


def up_to_64(n):
    return (n + 63) // 64 * 64


def check_hash(data, expected, where):
    """XXH3, 64 bits, seed 0; `expected` is 16 hexadecimal digits."""
    if xxhash is not None:
        found = xxhash.xxh3_64_hexdigest(data)
        require(found == expected, where, f"hash is {found}, expected {expected}")


def little_endian(typecode, data):
    values = array(typecode)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def plain_values(kind, data):
    """The numbers in `data`, as a sequence of floats."""
    if kind == "f32":
        return little_endian("f", data)
    if kind == "f16":
        return struct.unpack(f"<{len(data) // 2}e", data)
    widened = bytearray(2 * len(data))  # BF16 is the upper half of an FP32
    widened[2::4] = data[0::2]
    widened[3::4] = data[1::2]
    return little_endian("f", widened)


# --- JSON members ------------------------------------------------------------


def no_duplicates(pairs):
    members = dict(pairs)
    require(len(members) == len(pairs), "header", "an object has the same member twice")
    return members


def no_constant(text):
    raise Refused(f"header: {text} is not JSON")


def member(owner, name, where):
    require(isinstance(owner, dict), where, "not an object")
    require(name in owner, where, f'no "{name}"')
    return owner[name]


def whole(value):
    """The int that a JSON number is (it may be spelt 2.0), or None."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def integer(owner, name, where, least=0, most=LARGEST_SIZE):
    value = whole(member(owner, name, where))
    require(value is not None, where, f'"{name}" is not an integer')
    require(least <= value <= most, where, f'"{name}" is {value}')
    owner[name] = value
    return value


def number(owner, name, where, least, most):
    value = member(owner, name, where)
    require(type(value) in (int, float), where, f'"{name}" is not a number')
    require(least <= value <= most, where, f'"{name}" is {value}')
    return value


def text(owner, name, where, most_bytes=None):
    value = member(owner, name, where)
    require(isinstance(value, str), where, f'"{name}" is not a string')
    require(most_bytes is None or len(value.encode("utf-8")) <= most_bytes, where,
            f'"{name}" is longer than {most_bytes} bytes')
    return value


def hash_text(owner, name, where):
    value = text(owner, name, where)
    require(re.fullmatch("[0-9a-f]{16}", value), where,
            f'"{name}" is not 16 lower-case hexadecimal digits')
    return value


def items(owner, name, where, most=None):
    value = member(owner, name, where)
    require(isinstance(value, list), where, f'"{name}" is not a list')
    require(most is None or len(value) <= most, where, f'"{name}" has more than {most} entries')
    return value


# --- preamble and header -----------------------------------------------------


def read_preamble(data):
    """Returns (header bytes, hash of the header)."""
    require(len(data) >= 64, "preamble", f"the file has only {len(data)} bytes")
    require(data[:8] == MAGIC, "preamble, offset 0", "not the magic of a .qins file")
    version, zero = struct.unpack_from("<II", data, 8)
    require(version == 2, "preamble, offset 8", f"version {version}, expected 2")
    require(zero == 0, "preamble, offset 12", "not zero")
    file_bytes, header_bytes, header_hash = struct.unpack_from("<QQQ", data, 16)
    require(file_bytes == len(data), "preamble, offset 16",
            f"the file should have {file_bytes} bytes, but has {len(data)}")
    require(header_bytes % 64 == 0 and 0 < header_bytes <= len(data) - 64,
            "preamble, offset 24", f"a header of {header_bytes} bytes")
    require(not any(data[40:64]), "preamble, offset 40", "not zero")
    return header_bytes, header_hash


def read_header(data):
    """Returns (the header's JSON object, offset of the first byte after it)."""
    header_bytes, header_hash = read_preamble(data)
    header = data[64:64 + header_bytes]
    check_hash(header, f"{header_hash:016x}", "header")
    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=no_duplicates,
                            parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"header: not JSON: {error}") from None
    require(isinstance(parsed, dict), "header", "not a JSON object")
    return parsed, 64 + header_bytes


def check_longrope(longrope, rope_dim):
    where = "config, longrope"
    integer(longrope, "original_positions", where, 2)
    for name in ("short_factor", "long_factor"):
        factors = items(longrope, name, where)
        require(len(factors) == rope_dim // 2, where,
                f'"{name}" has {len(factors)} numbers, expected {rope_dim // 2}')
        require(all(type(x) in (int, float) and 0 < x < math.inf for x in factors),
                where, f'"{name}" has something else than positive numbers')
    for name in ("attention_factor", "scaling_factor"):
        if name in longrope:
            number(longrope, name, where, 0, 1e6)


def check_config(config):
    where = "config"
    for name in ("n_layers", "hidden_dim", "ffn_dim", "n_heads", "n_kv_heads",
                 "head_dim", "vocab_size", "max_positions", "rope_dim"):
        integer(config, name, where, 1)
    if "window" in config:
        integer(config, "window", where, 1)
    rope_dim = config["rope_dim"]
    require(rope_dim % 2 == 0 and rope_dim <= config["head_dim"], where,
            f'"rope_dim" is {rope_dim} with heads of {config["head_dim"]}')
    require(config["n_heads"] % config["n_kv_heads"] == 0, where,
            '"n_heads" is no multiple of "n_kv_heads"')
    require(0 < number(config, "rms_eps", where, 0, 1) < 1, where, '"rms_eps" is 0 or 1')
    require(number(config, "rope_base", where, 1, 1e12) > 1, where, '"rope_base" is 1')
    require(type(member(config, "tied_head", where)) is bool, where,
            '"tied_head" is not true or false')
    stop_ids = items(config, "stop_ids", where, 64)
    for stop_id in map(whole, stop_ids):
        require(stop_id is not None and 0 <= stop_id < config["vocab_size"], where,
                f'"stop_ids" are {stop_ids}')
    if "longrope" in config:
        check_longrope(config["longrope"], rope_dim)


def check_provenance(header):
    provenance = member(header, "provenance", "header")
    text(provenance, "converter", "provenance", 63)
    for source in items(provenance, "sources", "provenance", 1024):
        text(source, "name", "provenance, sources", 255)
        integer(source, "bytes", "provenance, sources")
        hash_text(source, "hash", "provenance, sources")
    if "calibration" in provenance:
        calibration, where = provenance["calibration"], "provenance, calibration"
        text(calibration, "name", where, 255)
        integer(calibration, "bytes", where)
        hash_text(calibration, "hash", where)
        require(integer(calibration, "tokens", where) >= 1, where, "no tokens")
        text(calibration, "method", where, 15)


# --- matrices ----------------------------------------------------------------


def code_value(kind, code, scale):
    """v of a code under a scale byte."""
    if kind == "qins8":
        s = code - 256 if code > 127 else code
        return (s * (abs(s) + 128) * scale + 1024) // 2048
    k, t = (scale - 256 if scale > 127 else scale) // 2, scale % 2
    if kind == "qins6":
        s = code - 32
        return ((s * (abs(s) + 48) + 24 * t) * k + 32) // 64
    if kind == "qins5":
        return ((TABLE_B[code] + 3 * t) * k + 1) // 2
    return (TABLE_A[code] + 3 * t) * k


def scale_bytes(n_cols):
    """S(n) of FORMAT.md: bytes of d, scale bytes and zeros before the codes of a stretch."""
    return up_to_64(32 + n_cols // 2)


def stretches(cols):
    """(first column, padded columns) of each stretch of a coded panel."""
    padded = up_to_64(cols)
    return [(start, min(STRETCH, padded - start)) for start in range(0, padded, STRETCH)]


def panel_bytes(kind, cols):
    if kind in CODE_BITS:
        return sum(scale_bytes(n) + 2 * CODE_BITS[kind] * n for _, n in stretches(cols))
    return PANEL * cols * PLAIN_BYTES[kind]


class CodedRows:
    """Rows of a coded matrix in panels."""

    def __init__(self, tensor, payload):
        self.kind, self.cols, self.payload = tensor["type"], tensor["cols"], payload
        self.panel_bytes = panel_bytes(self.kind, self.cols)

    def codes(self, at, n, lane):
        """The stored bits of n codes of a row from byte `at` on."""
        if self.kind == "qins8":
            return b"".join(self.payload[at + 64 * i + 4 * lane:at + 64 * i + 4 * lane + 4] for i in range(n // 4))
        further = CODE_BITS[self.kind] - 4
        out = bytearray()
        for block in range(at, at + n // BLOCK * 64 * CODE_BITS[self.kind], 64 * CODE_BITS[self.kind]):
            for col in range(BLOCK):
                group, byte = col // 4, 4 * lane + col % 4
                code = self.payload[block + 64 * (group // 2) + byte] >> 4 * (group % 2) & 15
                if further:
                    high = self.payload[block + 256 + 64 * (group * further // 8) + byte] >> group * further % 8
                    code |= (high & (1 << further) - 1) << 4
                out.append(code)
        return bytes(out)

    def parts(self, row):
        """For each stretch: (first column, columns, d's bits, scale bytes, codes' bits) of a row, padding included."""
        at, lane = row // PANEL * self.panel_bytes, row % PANEL
        for start, n in stretches(self.cols):
            (d,) = struct.unpack_from("<H", self.payload, at + 2 * lane)
            scales = bytes(self.payload[at + 32 + 16 * block + lane] for block in range(n // BLOCK))
            yield start, n, d, scales, self.codes(at + scale_bytes(n), n, lane)
            at += scale_bytes(n) + 2 * CODE_BITS[self.kind] * n

    def decode(self, first, count):
        """Rows first .. first + count - 1, as one flat list."""
        out = []
        for row in range(first, first + count):
            for start, n, bits, scales, codes in self.parts(row):
                (d,) = plain_values("bf16", struct.pack("<H", bits))
                values = [d * code_value(self.kind, code, scales[i // BLOCK]) for i, code in enumerate(codes)]
                out.extend(values[:self.cols - start])
        return out


class PlainRows:
    """Row after row."""

    def __init__(self, tensor, payload):
        self.kind, self.payload = tensor["type"], payload
        self.row_bytes = tensor["cols"] * PLAIN_BYTES[self.kind]

    def decode(self, first, count):
        return plain_values(self.kind, self.payload[first * self.row_bytes:
                                                    (first + count) * self.row_bytes])


class PanelRows:
    """Uncompressed, in panels [cols][16 rows]."""

    def __init__(self, tensor, payload):
        self.cols = tensor["cols"]
        self.values = plain_values(tensor["type"], payload)

    def decode(self, first, count):
        out = []
        for row in range(first, first + count):
            at = row // PANEL * PANEL * self.cols + row % PANEL
            out.extend(self.values[at:at + PANEL * self.cols:PANEL])
        return out


def rows_of(tensor, payload):
    if tensor["type"] in CODE_BITS:
        return CodedRows(tensor, payload)
    return (PanelRows if tensor["in_panels"] else PlainRows)(tensor, payload)


# --- tensors -----------------------------------------------------------------


def demanded_tensors(config):
    """[(name, rows, cols, may be coded, lies in panels even if it is not)], in file order."""
    hidden, ffn = config["hidden_dim"], config["ffn_dim"]
    q_dim = config["n_heads"] * config["head_dim"]
    qkv_dim = (config["n_heads"] + 2 * config["n_kv_heads"]) * config["head_dim"]
    yield "model.embed_tokens.weight", config["vocab_size"], hidden, True, config["tied_head"]
    for layer in range(config["n_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", 1, hidden, False, False
        yield prefix + "self_attn.qkv_proj.weight", qkv_dim, hidden, True, True
        yield prefix + "self_attn.o_proj.weight", hidden, q_dim, True, True
        yield prefix + "post_attention_layernorm.weight", 1, hidden, False, False
        yield prefix + "mlp.gate_up_proj.weight", 2 * ffn, hidden, True, True
        yield prefix + "mlp.down_proj.weight", hidden, ffn, True, True
    yield "model.norm.weight", 1, hidden, False, False
    if not config["tied_head"]:
        yield "lm_head.weight", config["vocab_size"], hidden, True, True


def payload_bytes(kind, rows, cols, in_panels):
    if in_panels:
        return (rows + PANEL - 1) // PANEL * panel_bytes(kind, cols)
    return rows * cols * PLAIN_BYTES[kind]


def check_tensor(tensor, index, demanded):
    """One entry of the list, without its place in the file."""
    name, rows, cols, may_be_coded, in_panels = demanded
    where = f"tensor {index}"
    found = text(tensor, "name", where)
    require(found == name, where, f'is "{found}", but the configuration demands "{name}"')
    where = f"tensor {name}"
    shape = integer(tensor, "rows", where), integer(tensor, "cols", where)
    require(shape == (rows, cols), where,
            f"is {list(shape)}, but the configuration demands {[rows, cols]}")
    kind = text(tensor, "type", where)
    require(kind in CODE_BITS or kind in PLAIN_BYTES, where, f'type "{kind}"')
    require(may_be_coded or kind not in CODE_BITS, where, "may not be of a coded type")
    tensor["in_panels"] = in_panels or kind in CODE_BITS
    size = payload_bytes(kind, rows, cols, tensor["in_panels"])
    require(integer(tensor, "bytes", where) == size, where,
            f'"bytes" is {tensor["bytes"]}, but the shape demands {size}')
    hash_text(tensor, "hash", where)
    hash_text(tensor, "source_hash", where)
    source_type = text(tensor, "source_type", where)
    require(source_type in PLAIN_OF_SOURCE, where, f'source type "{source_type}"')
    number(tensor, "error", where, 0, sys.float_info.max)
    require(kind != PLAIN_OF_SOURCE[source_type] or tensor["error"] == 0, where,
            f'"error" is {tensor["error"]}, though the type is that of the source')


def check_coded_row(coded, row, used, where):
    """Row `row`, the first `used` columns of which hold weights."""
    for start, n, d, scales, codes in coded.parts(row):
        here = f"{where}: row {row}, columns from {start} on"
        require(d == 0 or SMALLEST_D <= d <= LARGEST_D, here, f"d is {d:#x}")
        require(coded.kind != "qins8" or 128 not in codes, here, "code -128")
        require(coded.kind == "qins8" or not {0x80, 0x81} & set(scales), here, "k is -64")
        in_use = min(max(0, used - start), n)
        require(not any(codes[in_use:]), here, "a code of the padding is not zero")
        require(not any(scales[(in_use + BLOCK - 1) // BLOCK:]), here, "a scale byte of the padding is not zero")
        require(used > 0 or d == 0, here, "d of the padding is not zero")


def check_coded_payload(tensor, payload, where):
    rows, cols = tensor["rows"], tensor["cols"]
    coded = CodedRows(tensor, payload)
    for row in range(-(-rows // PANEL) * PANEL):
        check_coded_row(coded, row, cols if row < rows else 0, where)
    at = 0
    while at < len(payload):
        for _, n in stretches(cols):
            gap = at + 32 + n // 2, at + scale_bytes(n)
            require(not any(payload[slice(*gap)]), where, f"bytes {gap[0]} to {gap[1]} are not zero")
            at += scale_bytes(n) + 2 * CODE_BITS[tensor["type"]] * n


def check_panels(tensor, payload, where):
    """The rows of the last panel after the tensor's last one, of uncompressed values."""
    used, size = tensor["rows"] % PANEL or PANEL, PLAIN_BYTES[tensor["type"]]
    first = tensor["rows"] // PANEL * PANEL * tensor["cols"] * size
    for at in range(first, len(payload), PANEL * size):
        require(not any(payload[at + used * size:at + PANEL * size]), where, f"padding after byte {at} is not zero")


def check_gap(data, end, offset, where):
    """The bytes skipped for alignment between `end` and `offset`."""
    require(not any(data[end:offset]), where, f"the bytes skipped before offset {offset} are not zero")


def check_place(data, section, end, where):
    """Offset follows from what comes before; returns the offset after the section."""
    offset, size = integer(section, "offset", where), integer(section, "bytes", where)
    require(offset == up_to_64(end), where,
            f'"offset" is {offset}, but the sizes before it demand {up_to_64(end)}')
    require(offset + size <= len(data), where,
            f"ends at {offset + size}, but the file has {len(data)} bytes")
    check_gap(data, end, offset, where)
    return offset + size


def payload_of(data, tensor):
    return data[tensor["offset"]:tensor["offset"] + tensor["bytes"]]


def check_tensors(data, header, end):
    tensors = items(header, "tensors", "header")
    config = header["config"]
    n_demanded = 2 + 6 * config["n_layers"] + (not config["tied_head"])
    require(len(tensors) == n_demanded, "header",
            f"{len(tensors)} tensors, but the configuration demands {n_demanded}")
    for index, demanded in enumerate(demanded_tensors(config)):
        tensor = tensors[index]
        check_tensor(tensor, index, demanded)
        where = f"tensor {tensor['name']}"
        end = check_place(data, tensor, end, where)
        payload = payload_of(data, tensor)
        where = f"tensor {tensor['name']}, payload at offset {tensor['offset']}"
        check_hash(payload, tensor["hash"], where)
        if tensor["type"] in CODE_BITS:
            check_coded_payload(tensor, payload, where)
        elif tensor["in_panels"]:
            check_panels(tensor, payload, where)
    require(end == len(data), "layout", f"the last tensor ends at {end}, the file at {len(data)}")


# --- tokenizer section -------------------------------------------------------


class Tokenizer:
    """The section, taken apart; `where` names it in messages."""

    COUNTS = ("n_ids", "n_added", "n_merges", "n_prefix", "n_suffix",
              "piece_bytes", "unk_id", "flags")

    def __init__(self, section):
        self.section = section
        self.read_counts()
        self.read_lists()
        self.read_pieces()
        self.check_ids()
        self.check_merges()

    def refuse(self, what):
        raise Refused(f"tokenizer: {what}")

    def require(self, condition, what):
        require(condition, "tokenizer", what)

    def read_counts(self):
        self.require(len(self.section) >= 52, f"only {len(self.section)} bytes")
        self.require(self.section[:4] == b"QTOK", "not the magic QTOK")
        version, *counts = struct.unpack_from("<9I", self.section, 4)
        self.require(version == 2, f"version {version}, expected 2")
        for name, count in zip(self.COUNTS, counts):
            setattr(self, name, count)
        self.require(self.n_ids <= MAX_IDS, f"n_ids is {self.n_ids}")
        self.require(self.flags & ~(BYTE_FALLBACK | FUSE_UNKNOWNS | IGNORE_MERGES) == 0,
                     f"unknown flags in {self.flags:#x}")
        self.read_steps(struct.unpack_from("<3I", self.section, 40))
        size = (self.steps_end + 4 * (self.n_prefix + self.n_suffix) + 8 * self.n_added + 2 * self.n_ids
                + self.piece_bytes + 12 * self.n_merges)
        self.require(size == len(self.section),
                     f"has {len(self.section)} bytes, but its counts demand {size}")

    def read_steps(self, counts):
        """(kind, option, from, to) of the normalizer, the pre-tokenizer and the decoder."""
        at, self.steps = 52, []
        for role, count in enumerate(counts):
            self.require(count <= 8, f"{count} steps")
            steps = []
            for _ in range(count):
                self.require(at + 4 <= len(self.section), "the steps do not fit")
                kind, option, from_size, to_size = self.section[at:at + 4]
                end = at + 4 + from_size + to_size
                self.require(end <= len(self.section), "the steps do not fit")
                steps.append((kind, option, self.section[at + 4:at + 4 + from_size], self.section[at + 4 + from_size:end]))
                at = end
            for i in range(count):
                self.require(self.may_be(role, steps, i), f"step {i} of list {role} is not possible: {steps[i]}")
            self.steps.append(steps)
        self.steps_end = at

    @staticmethod
    def may_be(role, steps, at):
        kind, option, before, after = steps[at]
        earlier = {step[0] for step in steps[:at]}
        allowed = [{PREPEND, REPLACE}, {PREPEND, REPLACE, CUT, SPLIT, BYTES}, {REPLACE, BYTES, FALLBACK, STRIP, DROP}][role]
        if kind not in allowed or len(before) > 16 or len(after) > 16: return False
        if role == 2 and ((kind == DROP and at > 0) or (kind == BYTES and len(steps) > 1) or (kind == REPLACE and earlier & {FALLBACK, STRIP})
                          or (kind == FALLBACK and earlier & {FALLBACK, STRIP}) or (kind == STRIP and at + 1 < len(steps))):
            return False
        if bool(before) != (kind in (REPLACE, CUT, DROP)): return False
        if kind == REPLACE: return option == 0 and len(after) <= 4 * len(before)
        highest = HIGHEST_OPTION.get(kind, 0)
        return bool(after) == (kind == PREPEND) and (highest > 0) <= option <= highest

    def read_lists(self):
        at = self.steps_end

        def take(typecode, count, width):
            nonlocal at
            values = struct.unpack_from(f"<{count}{typecode}", self.section, at)
            at += count * width
            return values
        self.prefix = take("I", self.n_prefix, 4)
        self.suffix = take("I", self.n_suffix, 4)
        added = take("I", 2 * self.n_added, 4)
        self.added = list(zip(added[0::2], added[1::2]))
        self.piece_sizes = take("H", self.n_ids, 2)
        self.pieces_at = at
        at += self.piece_bytes
        merges = take("I", 3 * self.n_merges, 4)
        self.merges = list(zip(merges[0::3], merges[1::3], merges[2::3]))

    def read_pieces(self):
        total = sum(self.piece_sizes)
        self.require(total == self.piece_bytes,
                     f"the pieces have {total} bytes, but piece_bytes is {self.piece_bytes}")
        self.require(self.n_ids == 0 or self.piece_sizes[-1] > 0, "the last id has no token")
        self.pieces, id_of, at = [], {}, self.pieces_at  # pieces: bytes, empty without a token
        for token, size in enumerate(self.piece_sizes):
            piece = self.section[at:at + size]
            at += size
            self.pieces.append(piece)
            if size == 0:
                continue
            if id_of.setdefault(piece, token) != token:
                self.refuse(f"ids {id_of[piece]} and {token} have the same piece {piece!r}")
            try:
                piece.decode("utf-8")
            except UnicodeDecodeError:
                self.refuse(f"the piece of id {token} is not UTF-8: {piece!r}")

    def has_token(self, token):
        return token < self.n_ids and self.piece_sizes[token] > 0

    def check_ids(self):
        self.in_model = [size > 0 for size in self.piece_sizes]
        last = -1
        for token, flags in self.added:
            self.require(token > last, f"added token {token} after {last}")
            last = token
            self.require(flags < 64, f"added token {token} has unknown flags in {flags:#x}")
            self.require(self.has_token(token), f"added token {token} has no piece")
            self.in_model[token] = bool(flags & ADDED_IN_MODEL)
        for name, ids in (("prefix", self.prefix), ("suffix", self.suffix)):
            for token in ids:
                self.require(self.has_token(token), f"id {token} in the {name} has no token")
        self.require(self.unk_id == NO_ID or self.knows(self.unk_id),
                     f"unk_id {self.unk_id} is not in the model")

    def knows(self, token):
        return token < self.n_ids and self.in_model[token]

    def check_merges(self):
        rank_of, pieces = {}, self.pieces
        for rank, (left, right, result) in enumerate(self.merges):
            if not (self.knows(left) and self.knows(right) and self.knows(result)):
                self.refuse(f"merge {rank}: {left}, {right} or {result} is not in the model")
            if pieces[left] + pieces[right] != pieces[result]:
                self.refuse(f"merge {rank}: {pieces[left]!r} and {pieces[right]!r} do not give "
                            f"{pieces[result]!r}")
            if rank_of.setdefault((left, right), rank) != rank:
                self.refuse(f"merges {rank_of[left, right]} and {rank} are of the same pair")


# --- the whole file ----------------------------------------------------------


def check_chat(header):
    template = text(header, "chat_template", "header")
    require(template in ("phi3", "phi4", "phi4-mini", "chatml", "none"), "header", f'chat template "{template}"')
    for name, most_bytes in (("chat_start", 63), ("chat_system", None), ("chat_system_prefix", None)):
        if header.get(name) is not None:
            text(header, name, "header", most_bytes)
    require(header.get("chat_no_system") in (None, False, True), "header", '"chat_no_system" is not a boolean')


class QinsFile:
    def __init__(self, data):
        self.data = data
        self.header, end = read_header(data)
        header = self.header
        check_config(member(header, "config", "header"))
        check_chat(header)
        check_provenance(header)
        self.tokenizer = None
        if "tokenizer" in header:
            place = header["tokenizer"]
            end = check_place(data, place, end, "tokenizer")
            section = data[place["offset"]:end]
            check_hash(section, hash_text(place, "hash", "tokenizer"), "tokenizer")
            self.tokenizer = Tokenizer(section)
        check_tensors(data, header, end)
        self.tensors = {tensor["name"]: tensor for tensor in header["tensors"]}

    def rows(self, tensor):
        return rows_of(tensor, payload_of(self.data, tensor))

    def summary(self):
        types = {}
        for tensor in self.header["tensors"]:
            entry = types.setdefault(tensor["type"], {"tensors": 0, "bytes": 0, "largest_error": 0})
            entry["tensors"] += 1
            entry["bytes"] += tensor["bytes"]
            entry["largest_error"] = max(entry["largest_error"], tensor["error"])
        tokenizer = self.tokenizer and {name: getattr(self.tokenizer, name)
                                        for name in Tokenizer.COUNTS}
        return {
            "version": 2,
            "bytes": len(self.data),
            "hashes": "checked" if xxhash else "not checked: there is no module xxhash",
            "config": self.header["config"],
            "chat_template": self.header["chat_template"],
            "tokenizer": tokenizer,
            "converter": self.header["provenance"]["converter"],
            "types": types,
        }
