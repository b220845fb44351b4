"""Deterministic synthetic weights: value = f(parameter name, shape [, rules]) -- numpy only.

Bit-exact everywhere: only PCG64 raw integers, int64 sums, and IEEE double +,-,*,/ are used, then one
rounding to float32.  No libm, no floating point reductions.

    u_int  = (PCG64(crc32(name)).random_raw(n) >> 40) - 2**23      # n signed 24-bit integers, C order
    U      = (u_int + 0.5) / 2**23                                 # uniform in (-1, 1), variance 1/3
Conv weights (4-D) are *centred* per output channel (exact integer sum -> zero-sum filters), which keeps
deep random nets from collapsing to a spatially constant output.
"""

import hashlib, re, zlib
import numpy as np

# (regex on the full parameter name, rule).  First match wins.
#  conv:   w = gain / sqrt(fan_in) * sqrt(3) * (U - centre * mean_per_out_channel(U))
#  affine: v = base + spread * U
RULES = [
    (r"num_batches_tracked$", dict(kind="int0")),
    # --- stem (input is in 0..255 minus mean) ---
    (r"bottom_up\.(stem\.conv1|base_layer\.0)\.weight$", dict(kind="conv", gain=1.0, centre=0.9)),
    (
        r"bottom_up\.(stem\.conv1\.norm|base_layer\.1)\.running_mean$",
        dict(kind="affine", base=0.0, spread=2.5),
    ),
    (
        r"bottom_up\.(stem\.conv1\.norm|base_layer\.1)\.running_var$",
        dict(kind="affine", base=625.0, spread=150.0),
    ),
    # --- normalisation layers ---
    (r"running_mean$", dict(kind="affine", base=0.0, spread=0.10)),
    # (bn-head config: one BN per level; first conv sees raw FPN features)
    (r"share_tower\.1\.0\.running_var$", dict(kind="affine", base=3.1, spread=0.30)),
    (r"share_tower\.1\.1\.running_var$", dict(kind="affine", base=2.4, spread=0.30)),
    (r"share_tower\.1\.2\.running_var$", dict(kind="affine", base=1.3, spread=0.20)),
    (r"share_tower\.[47]\.\d\.running_var$", dict(kind="affine", base=0.85, spread=0.10)),
    (r"running_var$", dict(kind="affine", base=1.0, spread=0.30)),
    (r"conv3\.norm\.weight$", dict(kind="affine", base=0.40, spread=0.10)),
    (r"tree\d\.bn2\.weight$", dict(kind="affine", base=0.60, spread=0.10)),
    # --- deformable offsets / masks (27 = 18 offsets + 9 mask logits) ---
    (r"conv2_offset\.weight$", dict(kind="conv", gain=0.30, centre=1.0)),
    (r"conv2_offset\.bias$", dict(kind="affine", base=0.0, spread=1.50)),
    # --- FPN ---
    (r"fpn_lateral\d\.weight$", dict(kind="conv", gain=0.80, centre=1.0)),
    (r"fpn_output\d\.weight$", dict(kind="conv", gain=1.00, centre=1.0)),
    (r"top_block\.p\d\.weight$", dict(kind="conv", gain=1.00, centre=1.0)),
    # --- prediction layers ---
    (r"fcos_head\.cls_logits\.weight$", dict(kind="conv", gain=2.00, centre=1.0)),
    (r"fcos_head\.cls_logits\.bias$", dict(kind="affine", base=-8.7, spread=0.5)),
    (r"fcos_head\.bbox_pred\.weight$", dict(kind="conv", gain=4.00, centre=1.0)),
    (r"fcos_head\.bbox_pred\.bias$", dict(kind="affine", base=8.0, spread=1.0)),
    (r"fcos_head\.ctrness\.weight$", dict(kind="conv", gain=1.50, centre=1.0)),
    (r"fcos_head\.ctrness\.bias$", dict(kind="affine", base=0.5, spread=0.2)),
    (r"^top_layer\.weight$", dict(kind="conv", gain=3.00, centre=1.0)),
    (r"^top_layer\.bias$", dict(kind="affine", base=0.0, spread=0.5)),
    (r"basis_module\.tower\.\d\.weight$", dict(kind="conv", gain=4.00, centre=1.0)),
    (r"basis_module\.tower\.\d\.bias$", dict(kind="affine", base=0.0, spread=0.5)),
    (r"basis_module\.seg_head\.6\.weight$", dict(kind="conv", gain=2.00, centre=1.0)),
    (r"panoptic_module\.predictor\.weight$", dict(kind="conv", gain=2.00, centre=1.0)),
    (r"fcos_head\.scales\.\d\.scale$", dict(kind="affine", base=1.0, spread=0.20)),
    # --- generic ---
    (r"\.weight$", dict(kind="auto")),
    (r"\.bias$", dict(kind="affine", base=0.0, spread=0.10)),
]


def rule_for(name, shape, overrides=None):
    r = None
    for pat, rr in RULES:
        if re.search(pat, name):
            r = dict(rr)
            break
    if r is None:
        raise KeyError(name)
    if r["kind"] == "auto":
        r = (
            dict(kind="conv", gain=1.55, centre=1.0)
            if len(shape) == 4
            else dict(kind="affine", base=1.0, spread=0.20)
        )
    if name.endswith("fcos_head.cls_logits.bias") and tuple(shape) == (1,):
        r.update(base=-6.0, spread=0.1)  # single class (Person) config: 80x fewer chances
    for pat, upd in (overrides or {}).items():
        if re.search(pat, name):
            r.update(upd)
    return r


def raw_ints(name, n):
    g = np.random.PCG64(zlib.crc32(name.encode("utf-8")))
    return (g.random_raw(n) >> np.uint64(40)).astype(np.int64) - (1 << 23)


def make(name, shape, overrides=None):
    shape = tuple(int(s) for s in shape)
    r = rule_for(name, shape, overrides)
    if r["kind"] == "int0":
        return np.zeros(shape, np.int64)
    n = int(np.prod(shape)) if shape else 1
    k = raw_ints(name, n).reshape(shape)
    if r["kind"] == "affine":
        return (r["base"] + r["spread"] * ((k + 0.5) / 8388608.0)).astype(np.float32)
    assert r["kind"] == "conv" and len(shape) == 4, (name, shape, r)
    fan_in = shape[1] * shape[2] * shape[3]
    s = k.sum(axis=(1, 2, 3), keepdims=True)  # exact (int64)
    u = ((k + 0.5) - r["centre"] * (s / fan_in + 0.5)) / 8388608.0
    return (u * (r["gain"] * np.sqrt(3.0 / fan_in))).astype(np.float32)


def generate(manifest, overrides=None):
    """manifest: iterable of (name, shape) -> dict name -> ndarray"""
    return {n: make(n, s, overrides) for n, s in manifest}


def sha256_of(state):
    """Order independent digest of a {name: ndarray} dict."""
    h = hashlib.sha256()
    for n in sorted(state):
        a = np.ascontiguousarray(state[n])
        h.update(n.encode())
        h.update(str(a.dtype).encode())
        h.update(str(tuple(a.shape)).encode())
        h.update(a.tobytes())
    return h.hexdigest()
