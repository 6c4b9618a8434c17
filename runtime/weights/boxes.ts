/** Tensors laid out with room behind the ends of their dimensions. */

/**
 * Copies what two row-major boxes have in common, each position to the same position: from the tensor of a
 * run to where there is room for the largest, or back. Both are of the same rank.
 */
export function copyBox(
  from: Uint8Array,
  fromShape: readonly number[],
  to: Uint8Array,
  toShape: readonly number[],
  elementBytes: number,
): void {
  const common = fromShape.map((extent, dim) => Math.min(extent, toShape[dim]!));
  if (common.includes(0)) return;
  // Dimensions that neither cuts are one piece, with the one before them.
  let whole = common.length;
  while (whole > 0 && fromShape[whole - 1] === toShape[whole - 1]) whole--;
  const inner = common.slice(whole).reduce((size, extent) => size * extent, elementBytes);
  const copy = (dim: number, fromAt: number, toAt: number): void => {
    if (dim >= whole - 1) {
      const length = inner * (whole === 0 ? 1 : common[dim]!);
      to.set(from.subarray(fromAt * inner, fromAt * inner + length), toAt * inner);
      return;
    }
    for (let at = 0; at < common[dim]!; at++)
      copy(dim + 1, (fromAt + at) * fromShape[dim + 1]!, (toAt + at) * toShape[dim + 1]!);
  };
  copy(0, 0, 0);
}

/** Whether the smaller box lies in the larger one as it is by itself: one piece, from the first on. */
export function isPrefix(shape: readonly number[], room: readonly number[]): boolean {
  const cut = shape.findLastIndex((extent, dim) => extent !== room[dim]);
  return cut < 0 || room.slice(0, cut).every((extent) => extent === 1);
}
