"""Model files read back: the packings of docs/MODEL_FILE.md undone."""
import numpy as np
import torch
from gguf import GGUFWriter

from sorad_mini.from_model import ModelFile, hadamard, text_name


def pack(rows: np.ndarray, inner: int) -> np.ndarray:
    """[N, K] to [N/16][K/inner][16][inner], filled up with zeros."""
    n, k = rows.shape
    full = np.zeros((-(-n // 16) * 16, -(-k // inner) * inner), rows.dtype)
    full[:n, :k] = rows
    return np.ascontiguousarray(full.reshape(full.shape[0] // 16, 16, -1, inner).swapaxes(1, 2))


def test_packed_weights_come_back(tmp_path):
    rng = np.random.default_rng(1)
    codes = rng.integers(-127, 128, (20, 64)).astype(np.int8)
    scale = rng.random(20).astype(np.float32)
    plain = rng.standard_normal((20, 10)).astype(np.float32)
    kernel = rng.standard_normal((20, 5, 3, 3)).astype(np.float32)
    table = rng.standard_normal((1, 2, 16)).astype(np.float32)
    writer = GGUFWriter(tmp_path / "m.gguf", "sorad-wan")
    writer.add_uint32("rotation.turned", 16)
    for name in ("straight", "turned"):
        writer.add_tensor(name + ".weight", pack(codes, 4))
        writer.add_tensor(name + ".weight_scale", scale)
    writer.add_tensor("plain.weight", pack(plain, 1)[..., 0])
    writer.add_tensor("vae.kernel.weight", pack(kernel.transpose(0, 2, 3, 1).reshape(20, 45), 1)[..., 0])
    writer.add_tensor("table", table)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    file = ModelFile(tmp_path / "m.gguf")
    true = codes * scale[:, None]
    turned = (true.reshape(20, 4, 16) @ hadamard(16)).reshape(20, 64)
    torch.testing.assert_close(file.array("straight.weight", torch.Size([20, 64])), torch.from_numpy(true))
    torch.testing.assert_close(file.array("turned.weight", torch.Size([20, 64])),
                               torch.from_numpy(turned.astype(np.float32)))
    assert torch.equal(file.array("plain.weight", torch.Size([20, 10])), torch.from_numpy(plain))
    assert torch.equal(file.array("vae.kernel.weight", torch.Size([20, 5, 3, 3])), torch.from_numpy(kernel))
    assert torch.equal(file.array("table", torch.Size([1, 2, 16])), torch.from_numpy(table))


def test_text_encoder_names():
    assert text_name("encoder.block.3.layer.0.SelfAttention.q.weight") == "te.block.3.attn.q.weight"
    assert text_name("encoder.block.0.layer.1.DenseReluDense.wi_0.weight") == "te.block.0.ffn.wi_0.weight"
    assert text_name("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight") == \
        "te.block.0.attn.relative_bias"
