"""What each case is compared with, in PyTorch: a reference in float64, and the libraries that are as fast as any."""

import math
import os

import torch
import torch.nn.functional as F

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "i32": torch.int32}
DTYPES.update({"f8e4m3": torch.float8_e4m3fn, "f8e5m2": torch.float8_e5m2})
L2_BYTES = 64 << 20
PIECE_SECONDS, PIECES = 0.02, 21


def describe():
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name(),
        "flash-attn": getattr(flash_attention(), "__module__", None),
    }


def flash_attention():
    try:
        from flash_attn import flash_attn_func

        return flash_attn_func
    except ImportError:
        return None


def nccl_library():
    """That which PyTorch was installed with, if it lies beside it."""
    try:
        import nvidia.nccl
    except ImportError:
        return None
    paths = [os.path.join(folder, "lib/libnccl.so.2") for folder in nvidia.nccl.__path__]
    return next((path for path in paths if os.path.exists(path)), None)


# ---- What is computed ----


def attended(q, k, v, causal):
    """A head at a time, so that the scores of one fit in float64."""
    heads = []
    for head in range(q.shape[0]):
        parts = []
        for first in range(0, q.shape[1], 1024):
            rows = q[head, first : first + 1024].double()
            scores = rows @ k[head].double().T / math.sqrt(q.shape[-1])
            if causal:
                place = torch.arange(first, first + rows.shape[0], device=q.device)[:, None]
                scores.masked_fill_(torch.arange(k.shape[1], device=q.device)[None] > place, -math.inf)
            parts.append(scores.softmax(-1) @ v[head].double())
        heads.append(torch.cat(parts))
    return torch.stack(heads)


def log_totals(q, k):
    """Of each query, the logarithm of the sum of the exponentials of the scores that it sees."""
    found = torch.empty(q.shape[:2], dtype=torch.float32, device=q.device)
    for head, first, scores in causal_scores(q, k):
        found[head, first : first + scores.shape[0]] = scores.logsumexp(-1).float()
    return found


def causal_scores(q, k):
    """Some rows of a head at a time, in float64."""
    place = torch.arange(k.shape[1], device=q.device)
    for head in range(q.shape[0]):
        for first in range(0, q.shape[1], 1024):
            rows = q[head, first : first + 1024].double()
            scores = rows @ k[head].double().T / math.sqrt(q.shape[-1])
            yield head, first, scores.masked_fill_(place[None] > place[first : first + rows.shape[0], None], -math.inf)


def causal_backward(q, k, v, gradient):
    of_q, of_k, of_v = (torch.zeros(each.shape, dtype=torch.float64, device=q.device) for each in (q, k, v))
    for head, first, scores in causal_scores(q, k):
        rows = slice(first, first + scores.shape[0])
        weight, own = scores.softmax(-1), gradient[head, rows].double()
        change = own @ v[head].double().T
        score = weight * (change - (weight * change).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
        of_q[head, rows] = score @ k[head].double()
        of_k[head] += score.T @ q[head, rows].double()
        of_v[head] += weight.T @ own
    return of_q, of_k, of_v


def rms_norm(x, scale):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * scale


def routed(x, choose):
    weight, pick = (x @ choose.T).softmax(-1).topk(2)
    return weight / weight.sum(-1, keepdim=True), pick


def experts(x, choose, up, down, stored=lambda each: each):
    """`stored`: what is left of what goes from one step to the next."""
    weight, pick = routed(x, choose)
    result = torch.zeros_like(x)
    for expert in range(up.shape[0]):
        token, slot = (pick == expert).nonzero(as_tuple=True)
        hidden = stored(F.silu(x[token] @ up[expert].to(x.dtype).T))
        out = stored(hidden @ down[expert].to(x.dtype).T)
        result.index_add_(0, token, weight[token, slot, None] * out)
    return result


def in_blocks(scales, rows, columns):
    """A scale for each element."""
    return scales.repeat_interleave(rows, 0).repeat_interleave(columns, 1)


def linear_f8_blocks(x, w, xs, ws, dtype):
    return (x.to(dtype) * in_blocks(xs, 1, 128).to(dtype)) @ (w.to(dtype) * in_blocks(ws, 128, 128).to(dtype)).T


def small_layers(x, w):
    for each in w:
        x = x @ each.T
    return x


def cross_entropy(x, w, target):
    return F.cross_entropy(x @ w.T, target.long(), reduction="none")


def rotated(x, position, theta=10000.0):
    # Angles in the precision that `x` has, but not in 16 bits.
    wide = x if x.dtype == torch.float64 else x.float()
    half = x.shape[-1] // 2
    power = torch.arange(half, device=x.device, dtype=wide.dtype) / half
    angle = position[:, None, None] * theta**-power
    first, second = wide[..., :half], wide[..., half:]
    turned = (first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin())
    return torch.cat(turned, -1).to(x.dtype)


def decoding_block(x, start, keys, values, attention_norm, query, out, ffn_norm, gate, up, down):
    count, heads = x.shape[0], query.shape[0] // keys.shape[-1]
    position = start + torch.arange(count, device=x.device)
    rows = F.linear(rms_norm(x, attention_norm), query).view(count, heads, -1)
    seen = torch.arange(keys.shape[0], device=x.device)[None] <= position[:, None]
    by_heads = lambda each: each.transpose(0, 1)[None]
    y = F.scaled_dot_product_attention(
        *(by_heads(each) for each in (rotated(rows, position), keys, values)), attn_mask=seen, enable_gqa=True
    )
    h = x + F.linear(y[0].transpose(0, 1).reshape(count, -1), out)
    b = rms_norm(h, ffn_norm)
    return h + F.linear(F.silu(F.linear(b, gate)) * F.linear(b, up), down)


def in_float64(function):
    return lambda *inputs: function(*(each.double() if each.is_floating_point() else each for each in inputs))


REFERENCES = {
    "add": lambda x, y: x.double() + y.double(),
    "transpose": lambda x: x.double().T,
    "sum_rows": lambda x: x.double().sum(-1),
    "sum_columns": lambda x: x.double().sum(0),
    "softmax_rows": lambda x: x.double().softmax(-1),
    "rms_norm": lambda x, scale: rms_norm(x.double(), scale.double()),
    "prefix_sums": lambda x: x.double().cumsum(-1),
    # Of equal ones, which random f32 are now and then, the first comes first.
    "sort_rows": lambda x: tuple(each.double() for each in x.sort(-1, stable=True)),
    "top_50": lambda x: tuple(each[:, :50].double() for each in x.sort(-1, descending=True, stable=True)),
    "matmul": lambda a, b: a.double() @ b.double(),
    "linear": lambda x, w: x.double() @ w.double().T,
    "linear_tf32": lambda x, w: x.double() @ w.double().T,
    "linear_f8": lambda x, w, xs, ws: xs[:, None].double() * ws.double() * (x.double() @ w.double().T),
    "linear_f8_blocks": lambda x, w, xs, ws: linear_f8_blocks(x, w, xs, ws, torch.float64),
    "linear_bias_relu": lambda x, w, bias: (x.double() @ w.double().T + bias.double()).relu(),
    "gated": lambda x, gate, up: F.silu(x.double() @ gate.double().T) * (x.double() @ up.double().T),
    "causal": lambda q, k, v: attended(q, k, v, True),
    "full": lambda q, k, v: attended(q, k, v, False),
    "causal_backward": lambda q, k, v, out, total, gradient: causal_backward(q, k, v, gradient),
    "decode": lambda q, k, v: torch.stack([attended(*each, False) for each in zip(q, k, v)]),
    # As the program says: bf16 between its steps.
    "experts": lambda x, choose, up, down: experts(
        x.double(), choose.double(), up, down, lambda each: each.bfloat16().double()
    ),
    "cross_entropy": lambda x, w, target: cross_entropy(x.double(), w.double(), target),
    "small_layers": lambda x, w: small_layers(x.double(), w.double()),
    "decoding_block": in_float64(decoding_block),
}


# ---- What others have for it ----


def attention_peers(causal):
    def peers(q, k, v):
        found = {"SDPA": lambda q, k, v: F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal)}
        flash = flash_attention()
        if flash:
            # [batch, sequence, heads, components], which it reads by strides.
            turned = lambda each: each[None].transpose(1, 2)
            found["flash-attn"] = lambda q, k, v: flash(turned(q), turned(k), turned(v), causal=causal)
        return found

    return peers


def backward_peers(*_):
    """What comes before it is done once for each set of inputs, and is not timed."""
    results = {}

    def backward(q, k, v, out, total, gradient):
        if q.data_ptr() not in results:
            own = [each.detach()[None].requires_grad_() for each in (q, k, v)]
            with torch.enable_grad():
                results[q.data_ptr()] = own, F.scaled_dot_product_attention(*own, is_causal=True)
        own, result = results[q.data_ptr()]
        return torch.autograd.grad(result, own, gradient[None], retain_graph=True)

    return {"SDPA backward": backward}


def decode_peers(q, k, v):
    return {"SDPA": lambda q, k, v: F.scaled_dot_product_attention(q, k, v)}


def expert_peers(x, choose, up, down):
    def grouped(x, choose, up, down):
        weight, pick = routed(x, choose)
        order = pick.flatten().argsort()
        ends = torch.bincount(pick.flatten(), minlength=up.shape[0]).cumsum(0).to(torch.int32)
        rows = x[order // 2]
        hidden = F.silu(torch._grouped_mm(rows, up.transpose(1, 2), offs=ends))
        out = torch._grouped_mm(hidden, down.transpose(1, 2), offs=ends)
        return torch.zeros_like(x).index_add_(0, order // 2, out * weight.flatten()[order, None])

    found = {"by expert": experts}
    if hasattr(torch, "_grouped_mm"):
        found["grouped_mm"] = grouped
        found["grouped_mm, compiled"] = torch.compile(grouped)
    return found


def of_tf32(x, w):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return F.linear(x, w)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def f8_peers(*_):
    def scaled(fast):
        return lambda x, w, xs, ws: torch._scaled_mm(
            x, w.T, scale_a=xs[:, None], scale_b=ws[None], out_dtype=torch.bfloat16, use_fast_accum=fast
        )

    # The second adds up all products with few bits.
    return {"scaled_mm": scaled(False), "scaled_mm, fast sums": scaled(True)}


def f8_block_peers(*_):
    found = {"as bf16, cuBLAS": lambda x, w, xs, ws: linear_f8_blocks(x, w, xs, ws, torch.bfloat16)}
    try:
        import deep_gemm
    except ImportError:
        return found

    def deep(x, w, xs, ws):
        out = torch.empty(x.shape[0], w.shape[0], dtype=torch.bfloat16, device=x.device)
        deep_gemm.fp8_gemm_nt((x, xs), (w, ws), out)
        return out

    return {**found, "DeepGEMM": deep}


def plain(name, function, compiled=True):
    """A function of PyTorch, and what its compiler (Triton) makes of it."""
    return lambda *_: {name: function, **({f"{name}, compiled": torch.compile(function)} if compiled else {})}


PEERS = {
    "add": plain("add", torch.add, False),
    "transpose": plain("contiguous", lambda x: x.T.contiguous(), False),
    "sum_rows": plain("sum", lambda x: x.sum(-1, dtype=torch.float32)),
    "sum_columns": plain("sum", lambda x: x.sum(0, dtype=torch.float32)),
    "softmax_rows": plain("softmax", lambda x: x.softmax(-1)),
    "rms_norm": plain("rms_norm", lambda x, scale: F.rms_norm(x, (x.shape[-1],), scale, 1e-6)),
    "prefix_sums": plain("cumsum", lambda x: x.cumsum(-1)),
    "sort_rows": plain("sort", lambda x: torch.sort(x), False),
    "top_50": plain("topk", lambda x: torch.topk(x, 50), False),
    "matmul": plain("cuBLAS", torch.matmul, False),
    "linear": plain("cuBLAS", F.linear, False),
    "linear_tf32": plain("cuBLAS, tf32", of_tf32, False),
    "linear_f8": f8_peers,
    "linear_f8_blocks": f8_block_peers,
    "linear_bias_relu": plain("cuBLAS and relu", lambda x, w, bias: F.linear(x, w, bias).relu()),
    "gated": plain("cuBLAS and silu", lambda x, gate, up: F.silu(F.linear(x, gate)) * F.linear(x, up)),
    "causal": attention_peers(True),
    "full": attention_peers(False),
    "causal_backward": backward_peers,
    "decode": decode_peers,
    "experts": expert_peers,
    "small_layers": plain("cuBLAS", small_layers),
    "decoding_block": plain("PyTorch", decoding_block),
    "cross_entropy": plain("cross_entropy", lambda x, w, target: cross_entropy(x, w, target)),
}


# ---- Inputs, and what came out ----

# Inputs that follow from others, by their names.
GIVEN = {
    "causal_backward": lambda q, k, v, gradient: {
        "out": attended(q, k, v, True).bfloat16(),
        "log_total": log_totals(q, k),
    }
}


class Trial:
    """Random inputs of a case, new each time, on the GPU and in files."""

    def __init__(self, case, folder):
        self.case = case
        self.inputs = [self.random(each) for each in case["inputs"]]
        if case["entry"] in GIVEN:
            paths = [each["path"] for each in case["inputs"]]
            free = [each for path, each in zip(paths, self.inputs) if path not in ("out", "log_total")]
            given = GIVEN[case["entry"]](*free)
            self.inputs = [given.get(path, each) for path, each in zip(paths, self.inputs)]
        self.files = {}
        for each, tensor in zip(case["inputs"], self.inputs):
            self.files[each["path"]] = os.path.join(folder, f"{each['path']}.in")
            tensor.contiguous().view(torch.uint8).cpu().numpy().tofile(self.files[each["path"]])
        # The rest of the memory is the worker's.
        torch.cuda.empty_cache()

    def random(self, wanted):
        shape, dtype = wanted["shape"], DTYPES[wanted["dtype"]]
        if "below" in wanted:
            return torch.randint(wanted["below"], shape, dtype=dtype, device="cuda")
        # Sums of products stay near 1, as in models.
        scale = 1.0 if wanted["path"] in ("x", "q", "k", "v", "a") else shape[-1] ** -0.5
        return (torch.randn(shape, device="cuda") * scale).to(dtype)

    def compare(self, outputs):
        wanted = several(REFERENCES[self.case["entry"]](*self.inputs))
        entry = self.case["entry"]
        libraries = [None] * len(wanted)
        if entry not in ROUNDINGS:
            library = next(iter(PEERS[entry](*self.inputs).values()))
            with torch.no_grad():
                libraries = several(library(*self.inputs))
        found = []
        for output, own, library in zip(outputs.values(), wanted, libraries, strict=True):
            with open(output["file"], "rb") as file:
                got = torch.frombuffer(bytearray(file.read()), dtype=DTYPES[output["dtype"]]).reshape(output["shape"])
            library = library if library is None else library.reshape(own.shape)
            found.append(compared(got.cuda(), own, library, ROUNDINGS.get(entry, 1), entry in OF_TF32))
        # Of several, all are as wrong as the one that is most off.
        return max(found, key=lambda each: (each["wrong"], each["error"]))

    def time_peers(self, compiled):
        """Seconds of each, or why there are none. `compiled`: those too that PyTorch compiles first."""
        found = {}
        for name, function in PEERS[self.case["entry"]](*self.inputs).items():
            if name.endswith("compiled") and not compiled:
                continue
            try:
                found[name] = seconds(function, self.inputs, self.case["bytes"])
            except Exception as error:  # A peer that cannot is not the end of the others.
                found[name] = f"{type(error).__name__}: {error}"[:200]
            torch.cuda.empty_cache()
        return found


def several(results):
    return results if isinstance(results, tuple) else (results,)


def errors(got, wanted):
    """Of the whole, relative to it, and of the element that is most off."""
    off = (got.double() - wanted).abs()
    size = wanted.square().mean().sqrt()
    return (off.square().mean().sqrt() / size).item(), (off / (wanted.abs() + size)).max().item()


# What a library rounds on the way to results of 16 bits may be rounded; where is not the same.
AS_LIBRARIES = 1.5
# How often what a result is made of is rounded, in the reference too, where that is more than once: each may
# go the other way. Libraries are no measure there: they choose other experts where logits of 16 bits tie.
ROUNDINGS = {"experts": 3}
# Entries whose f32 results may be as far off as eleven bits of their factors leave them.
OF_TF32 = ("linear_tf32",)


def compared(got, wanted, library=None, roundings=1, of_tf32=False):
    """How far it is off, and whether that is more than roundings: of the result, or of a library's."""
    error, worst = errors(got, wanted)
    whole, element = (2**-15, 2**-12) if got.dtype == torch.float32 else (2**-8, roundings * 2**-7)
    if of_tf32:
        whole, element = 2**-9, 2**-6
    found = {"error": error, "worst": worst}
    if library is not None and got.dtype != torch.float32:
        found["library error"], found["library worst"] = errors(library, wanted)
        whole = max(whole, AS_LIBRARIES * found["library error"])
        element = max(element, AS_LIBRARIES * found["library worst"])
    return {**found, "wrong": not (error <= whole and worst <= element)}


def notices_a_fault():
    """Whether one element that is left out is seen, and one that is a little off; and nothing else is."""
    wanted = torch.randn(512, 512, device="cuda", dtype=torch.float64)
    right = wanted.to(torch.bfloat16)
    missing, shifted = right.clone(), right.clone()
    missing[300, 7] = math.nan
    shifted[:, 8:16] = right[:, 9:17]
    return [compared(each, wanted)["wrong"] for each in (right, missing, shifted)] == [False, True, True]


# ---- Time ----


def seconds(function, inputs, size):
    """Median seconds of a call, on one set of inputs after another, given as one graph where that can be."""
    count = min(16, max(2, math.ceil(2 * L2_BYTES / size)))
    sets = [[each.clone() for each in inputs] for _ in range(count)]

    def run_all():
        for each in sets:
            function(*each)

    with torch.no_grad():
        run_all()
        replay = recorded(run_all) or run_all
        elapsed(replay, 1)
        once = max(elapsed(replay, 1), 1e-6)
        turns = max(1, math.ceil(PIECE_SECONDS / once))
        times = sorted(elapsed(replay, turns) / (turns * count) for _ in range(PIECES))
    return times[PIECES // 2]


def recorded(work):
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay
    except Exception:  # What waits for the host cannot be recorded.
        torch.cuda.synchronize()
        return None


def elapsed(work, turns):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(turns):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def copy_rate():
    """Bytes a second that a kernel reads and writes which does next to nothing else; copies themselves, in a
    graph, are left to a slower engine."""
    source = torch.randn(1 << 29, device="cuda")
    target = torch.empty_like(source)
    return 8 * source.numel() / seconds(lambda a, b: torch.neg(a, out=b), [source, target], 8 * source.numel())
