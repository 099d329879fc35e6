"""Writes tests/golden/formats/blocks.gguf with the gguf package: metadata of every type; per element
type "T" random blocks of it, "T.values" what the package reads from them, and for the types that are
written "T.of_input" the package's blocks for "input". With a file name as argument, checks instead
that the package reads a file of ours: finite floats, names unique."""
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

BLOCKS = {
    Type.F32: 64, Type.F16: 64, Type.BF16: 64, Type.Q8_0: 16, Type.Q4_0: 16,
    Type.Q4_K: 4, Type.Q6_K: 4, Type.MXFP4: 16, Type.Q5_0: 16, Type.Q5_1: 16, Type.Q5_K: 4, Type.Q4_1: 16,
}
F16_SCALES = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_K: [0, 2], Type.Q6_K: [208], Type.Q5_0: [0], Type.Q5_1: [0, 2],
    Type.Q5_K: [0, 2], Type.Q4_1: [0, 2],
}


def random_blocks(rng, kind):
    """Any bits, but NaN and infinity only where no f16 or float stands: their payloads are nobody's
    business."""
    elements, width = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (BLOCKS[kind], width), dtype=np.uint8)
    if kind == Type.F32:
        blocks[:, 3] = np.where(blocks[:, 3] & 127 == 127, blocks[:, 3] & 0xBF, blocks[:, 3])
    if kind == Type.BF16:
        blocks[:, 1] = np.where(blocks[:, 1] & 127 == 127, blocks[:, 1] & 0xBF, blocks[:, 1])
    for at in [0] if kind == Type.F16 else F16_SCALES.get(kind, []):
        high = blocks[:, at + 1]
        blocks[:, at + 1] = np.where(high & 0x7C == 0x7C, high & 0xBF, high)
        if elements > 1:
            blocks[0, at : at + 2] = [0x03, 0x00]  # subnormal
            blocks[1, at : at + 2] = [0x00, 0x80]  # minus zero
    if kind == Type.MXFP4:
        blocks[:4, 0] = [0, 1, 2, 252]  # subnormal scales, and the largest that stays finite
        blocks[4:, 0] %= 253
    return blocks


def rows_to_quantise(rng):
    """Rows of 32: scales from the subnormal f16 to the large, and the cases where roundings differ."""
    rows = rng.standard_normal((40, 32)).astype(np.float32)
    rows *= np.exp2(np.linspace(-30, 14, 40)).astype(np.float32)[:, None]
    ramp = np.arange(32, dtype=np.float32)
    special = [
        0 * ramp,
        -0.0 * (ramp + 1),
        np.where(ramp == 5, -127, ramp - 15.5),  # Q8_0: scale 1, every value a tie
        np.where(ramp == 5, 8, (ramp - 16) / 2),  # Q4_0: scale -1, every second value a tie
        np.where(ramp % 2 == 0, 3, -3),  # two largest magnitudes: the first one decides
        np.where(ramp % 2 == 0, -3, 3),
        1 + ramp * 2.0**-11 + 2.0**-12,  # ties of f16 and bf16
        (ramp + 0.5) * 2.0**-24,  # ties of subnormal f16
        65504 + ramp / 2,  # the last floats below f16's infinity
    ]
    return np.concatenate([rows, np.array(special, dtype=np.float32)])


def write_golden(path):
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "golden")
    for bits in 8, 16, 32, 64:
        getattr(writer, f"add_int{bits}")(f"int{bits}", -(2 ** (bits - 1)))
        getattr(writer, f"add_uint{bits}")(f"uint{bits}", 2**bits - 1)
    writer.add_float32("float32", 0.1)
    writer.add_float64("float64", 0.1)
    writer.add_bool("bool", True)
    writer.add_string("string", "深红\n")
    writer.add_array("strings", ["", "静夜思", "a"])
    writer.add_array("int32s", [3, -1, 2])
    writer.add_array("float32s", [0.5, -1e30])
    writer.add_array("bools", [True, False])
    rows = rows_to_quantise(rng)
    writer.add_tensor("input", rows)
    for kind in BLOCKS:
        blocks = random_blocks(rng, kind)
        name = kind.name
        if gguf.GGML_QUANT_SIZES[kind][0] == 1:  # one row of all, so that the package sees numbers
            blocks = blocks.reshape(1, -1)
        values = gguf.dequantize(blocks, kind)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        writer.add_tensor(name + ".values", np.ascontiguousarray(values, dtype=np.float32))
        if kind in (Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0):
            made = np.ascontiguousarray(gguf.quantize(rows, kind)).view(np.uint8)
            writer.add_tensor(name + ".of_input", made, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if len(sys.argv) > 1:
    reader = gguf.GGUFReader(sys.argv[1])
    for key, field in reader.fields.items():
        print(key, field.contents())
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.isfinite(values).all(), tensor.name
        shape = tuple(reversed(tensor.shape.tolist()))
        print(tensor.name, tensor.tensor_type.name, shape, values.sum(dtype=np.float64))
else:
    write_golden(pathlib.Path(__file__).parent.parent / "golden" / "formats" / "blocks.gguf")
