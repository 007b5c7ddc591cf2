"""Operate on rows of one number per lane with vector instructions, for the multi-source search.

A mask has one bit per lane. Each operation is an intrinsic whose code is written in LLVM's own vector types,
because a loop over lanes in numba keeps its sums in memory: one row is then added in 11 ns instead of 1. LLVM
maps the vectors to whatever the processor has. Lanes never mix except in `across`, whose order is fixed, and
nothing is contracted or reassociated, so results have the same bits on every processor. Prefetching changes
no result at all.

The number of lanes is the number of bits of the mask's type: uint8, uint16, uint32 for 8, 16, 32 lanes. Rows
follow one another in a one-dimensional array of float32 or float64; row v starts at v * lanes.
"""

from __future__ import annotations

# ruff: noqa: ARG001 # the parameters of an intrinsic stand for the types of the values that its code is given
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic as numba_intrinsic

from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel

tuple_of: Any = types.UniTuple

_I64 = ir.IntType(64)
# Sums of more terms than one addition's latency are split into this many parts.
_PARTS = 2
_LINE = 16  # entries of a row in a cache line of 64 bytes
_PREFETCHED = 16 * _LINE


def intrinsic(function: Callable[..., Any]) -> Any:
    """Wrap numba's decorator with a type: its result is called with values, not with the types that the
    function is written for.
    """
    return numba_intrinsic(function)


class _Rows:
    """The vector type of a row, and access to rows, while one intrinsic is being written."""

    def __init__(self, context: Any, builder: Any, element: Any, lanes: int) -> None:
        self.context, self.builder, self.lanes = context, builder, lanes
        self.scalar = ir.FloatType() if element == types.float32 else ir.DoubleType()
        self.bytes = 4 if element == types.float32 else 8
        self.vector = ir.VectorType(self.scalar, lanes)
        self.mask = ir.IntType(lanes)
        self.zero = self.constant(0.0)

    def constant(self, value: float) -> Any:
        return ir.Constant(self.vector, [value] * self.lanes)

    def data(self, array_type: Any, array: Any) -> Any:
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def row(self, array_type: Any, array: Any, at: Any) -> Any:
        """Pointer to a row."""
        base = self.builder.bitcast(self.data(array_type, array), self.vector.as_pointer())
        return self.builder.gep(base, [at])

    def load(self, pointer: Any) -> Any:
        return self.builder.load(pointer, align=self.bytes)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, pointer, align=self.bytes)

    def spread(self, value: Any) -> Any:
        """Put a scalar into every lane."""
        one = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
        )
        return self.builder.shuffle_vector(
            one,
            ir.Constant(self.vector, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None),
        )

    def bits(self, mask: Any) -> Any:
        """Turn a mask into a vector of booleans."""
        return self.builder.bitcast(mask, ir.VectorType(ir.IntType(1), self.lanes))

    def mask_of(self, bits: Any) -> Any:
        return self.builder.bitcast(bits, self.mask)

    def only(self, mask: Any, values: Any) -> Any:
        """Keep the values in the mask's lanes, 0 in the others."""
        return self.builder.select(self.bits(mask), values, self.zero)

    def across(self, values: Any) -> Any:
        """Sum over the lanes, as float64: halves are added to each other until one is left."""
        width = self.lanes
        index = ir.IntType(32)
        while width > 1:
            width //= 2
            low = ir.Constant(ir.VectorType(index, width), list(range(width)))
            high = ir.Constant(ir.VectorType(index, width), list(range(width, 2 * width)))
            values = self.builder.fadd(
                self.builder.shuffle_vector(values, values, low),
                self.builder.shuffle_vector(values, values, high),
            )
        one = self.builder.extract_element(values, ir.Constant(index, 0))
        return one if self.bytes == 8 else self.builder.fpext(one, ir.DoubleType())

    def sum_of(self, base: Any, indices: Any, first: Any, last: Any) -> Any:
        """Sum of the rows indices[first:last], in that order: even and odd places apart, then together."""
        b = self.builder
        before = b.block
        pairs, pair, rest, single, done = (
            b.append_basic_block(name) for name in ("pairs", "pair", "rest", "single", "done")
        )

        def addend(index: Any) -> Any:
            return self.load(b.gep(base, [b.zext(b.load(b.gep(indices, [index])), _I64)]))

        b.branch(pairs)
        b.position_at_end(pairs)
        at = b.phi(_I64)
        sums = [b.phi(self.vector) for _ in range(_PARTS)]
        at.add_incoming(first, before)
        for part in sums:
            part.add_incoming(self.zero, before)
        after = b.add(at, ir.Constant(_I64, _PARTS))
        b.cbranch(b.icmp_signed("<=", after, last), pair, rest)
        b.position_at_end(pair)
        for k, part in enumerate(sums):
            part.add_incoming(b.fadd(part, addend(b.add(at, ir.Constant(_I64, k)))), pair)
        at.add_incoming(after, pair)
        b.branch(pairs)
        b.position_at_end(rest)
        b.cbranch(b.icmp_signed("<", at, last), single, done)
        b.position_at_end(single)
        odd = b.fadd(sums[0], addend(at))
        b.branch(done)
        b.position_at_end(done)
        even = b.phi(self.vector)
        even.add_incoming(sums[0], rest)
        even.add_incoming(odd, single)
        return b.fadd(even, sums[1])


@intrinsic
def pull_counts(
    typingctx: Any,
    rows: Any,
    indices: Any,
    first: Any,
    last: Any,
    unseen: Any,
    counts: Any,
    target: Any,
    at: Any,
    most: Any,
) -> Any:
    """Pull path counts into row `at`.

    Sums the rows, takes the lanes in `unseen` that are not 0, and puts them into rows `at` of `target`
    (others: 0) and `counts` (others: as they were). Returns (new lanes, lanes above `most`).
    """
    signature = tuple_of(unseen, 2)(
        rows, indices, types.int64, types.int64, unseen, counts, target, types.int64, rows.dtype
    )

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        r = _Rows(context, builder, rows.dtype, unseen.bitwidth)
        base = r.row(rows, args[0], ir.Constant(_I64, 0))
        sums = r.sum_of(base, r.data(indices, args[1]), args[2], args[3])
        return _settle_counts(
            r, signature, sums, args[4], (counts, args[5]), (target, args[6]), args[7], args[8]
        )

    return signature, code


@intrinsic
def finish_pushed_counts(typingctx: Any, unseen: Any, counts: Any, target: Any, at: Any, most: Any) -> Any:
    """Do as `pull_counts` for sums that were pushed into row `at` of `target`."""
    signature = tuple_of(unseen, 2)(unseen, counts, target, types.int64, target.dtype)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        r = _Rows(context, builder, target.dtype, unseen.bitwidth)
        sums = r.load(r.row(target, args[2], args[3]))
        return _settle_counts(
            r, signature, sums, args[0], (counts, args[1]), (target, args[2]), args[3], args[4]
        )

    return signature, code


def _settle_counts(
    r: _Rows,
    signature: Any,
    sums: Any,
    unseen: Any,
    counts: tuple[Any, Any],
    target: tuple[Any, Any],
    at: Any,
    most: Any,
) -> Any:
    b = r.builder
    new = b.and_(unseen, r.mask_of(b.fcmp_ordered(">", sums, r.zero)))
    r.store(r.only(new, sums), r.row(*target, at))
    pointer = r.row(*counts, at)
    r.store(b.select(r.bits(new), sums, r.load(pointer)), pointer)
    high = b.and_(new, r.mask_of(b.fcmp_unordered(">", sums, r.spread(most))))
    return r.context.make_tuple(b, signature.return_type, [new, high])


@intrinsic
def pull_dependencies(
    typingctx: Any,
    rows: Any,
    indices: Any,
    first: Any,
    last: Any,
    lanes: Any,
    counts: Any,
    weight: Any,
    times: Any,
    target: Any,
    at: Any,
) -> Any:
    """Pull dependencies into row `at`.

    With g the sum of the rows, delta = g * counts in `lanes`; (weight + delta) / counts goes into row `at` of
    `target` (other lanes: 0). Returns (sum of times * delta, sum of times * delta**2) over the lanes; `times`
    is one row.
    """
    signature = tuple_of(types.float64, 2)(
        rows, indices, types.int64, types.int64, lanes, counts, rows.dtype, times, target, types.int64
    )

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        r = _Rows(context, builder, rows.dtype, lanes.bitwidth)
        base = r.row(rows, args[0], ir.Constant(_I64, 0))
        pulled = r.sum_of(base, r.data(indices, args[1]), args[2], args[3])
        return _settle_dependencies(
            r,
            signature,
            pulled,
            args[4],
            (counts, args[5]),
            args[6],
            (times, args[7]),
            (target, args[8]),
            args[9],
        )

    return signature, code


@intrinsic
def finish_pushed_dependencies(
    typingctx: Any, lanes: Any, counts: Any, weight: Any, times: Any, target: Any, at: Any
) -> Any:
    """Do as `pull_dependencies` for sums that were pushed into row `at` of `target` (0 there: last level)."""
    signature = tuple_of(types.float64, 2)(lanes, counts, target.dtype, times, target, types.int64)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        r = _Rows(context, builder, target.dtype, lanes.bitwidth)
        pulled = r.load(r.row(target, args[4], args[5]))
        return _settle_dependencies(
            r,
            signature,
            pulled,
            args[0],
            (counts, args[1]),
            args[2],
            (times, args[3]),
            (target, args[4]),
            args[5],
        )

    return signature, code


def _settle_dependencies(
    r: _Rows,
    signature: Any,
    pulled: Any,
    lanes: Any,
    counts: tuple[Any, Any],
    weight: Any,
    times: tuple[Any, Any],
    target: tuple[Any, Any],
    at: Any,
) -> Any:
    b = r.builder
    paths = r.load(r.row(*counts, at))
    delta = r.only(lanes, b.fmul(pulled, paths))
    r.store(r.only(lanes, b.fdiv(b.fadd(r.spread(weight), delta), paths)), r.row(*target, at))
    counted = b.fmul(r.load(r.row(*times, ir.Constant(_I64, 0))), delta)
    return r.context.make_tuple(
        b, signature.return_type, [r.across(counted), r.across(b.fmul(counted, delta))]
    )


@intrinsic
def add_row(typingctx: Any, mask: Any, rows: Any, source: Any, target: Any, at: Any) -> Any:
    """Add row `source` of `rows` to row `at` of `target`; `mask` only says how many lanes there are."""
    signature = types.void(mask, rows, types.int64, target, types.int64)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        r = _Rows(context, builder, rows.dtype, mask.bitwidth)
        pointer = r.row(target, args[3], args[4])
        r.store(builder.fadd(r.load(pointer), r.load(r.row(rows, args[1], args[2]))), pointer)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def clear_row(typingctx: Any, mask: Any, rows: Any, at: Any) -> Any:
    """Set row `at` to 0; `mask` only says how many lanes there are."""
    signature = types.void(mask, rows, types.int64)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        r = _Rows(context, builder, rows.dtype, mask.bitwidth)
        r.store(r.zero, r.row(rows, args[1], args[2]))
        return context.get_dummy_value()

    return signature, code


@intrinsic
def prefetch(typing_context: Any, array: Any, at: Any) -> Any:
    """Ask for the cache line of one element, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = ir.IntType(8).as_pointer()
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address], kind)
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), address)
        builder.call(function, [pointer, i32(0), i32(3), i32(1)])  # to be read, kept, data
        return context.get_dummy_value()

    return types.void(array, at), generate


@kernel
def prefetch_row(indptr: I64, indices: I32, v: int) -> None:
    """Ask for the first entries of a row, which lies anywhere; the processor follows it from there.

    Rows of vertices in a list are no stream that a processor could foresee: to ask for the second next one
    while a row is read took two fifths off the time of such a loop on a graph larger than the caches.
    """
    x = np.uint64(v)
    begin = np.uint64(indptr[x])
    end = min(np.uint64(indptr[x + np.uint64(1)]), begin + np.uint64(_PREFETCHED))
    for e in range(begin, end, np.uint64(_LINE)):
        prefetch(indices, e)
