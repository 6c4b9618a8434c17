/**
 * Which tensors share memory. WebGPU allows no buffer to be read and written by one dispatch, not even in
 * different places, so what is shared is whole buffers ("slots"), each holding one tensor at a time.
 */

/**
 * Memory for one purpose, needed from position `start` to position `end` of the launch order, both included.
 */
export interface MemoryRequest {
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
  /**
   * Requests with the same group swap their slots while the program runs, so their slots are of one size:
   * `bytes` must be equal among them.
   */
  readonly swapGroup: number | undefined;
}

export interface MemoryPlan {
  /** The slot of each request, in the order of the requests. */
  readonly slotOf: readonly number[];
  readonly slotBytes: readonly number[];
}

interface Slot {
  readonly bytes: number;
  readonly occupants: MemoryRequest[];
}

/**
 * Greedy by size with best fit (Pisarchyk and Lee, "Efficient memory management for deep neural net
 * inference", 2020): the largest requests choose first, so that no slot ever grows.
 */
export function planMemory(requests: readonly MemoryRequest[]): MemoryPlan {
  const slots: Slot[] = [];
  const slotOf = new Array<number>(requests.length);
  const largestFirst = [...requests.keys()].sort((left, right) => {
    const [first, second] = [requests[left]!, requests[right]!];
    return second.bytes - first.bytes || first.start - second.start || left - right;
  });
  for (const index of largestFirst) {
    const request = requests[index]!;
    let best: number | undefined;
    for (const [candidate, slot] of slots.entries()) {
      const fits = request.swapGroup === undefined || slot.bytes === request.bytes;
      if (!fits || slot.occupants.some((occupant) => overlap(occupant, request))) continue;
      if (best === undefined || slot.bytes < slots[best]!.bytes) best = candidate;
    }
    if (best === undefined) {
      best = slots.length;
      slots.push({ bytes: request.bytes, occupants: [] });
    }
    slots[best]!.occupants.push(request);
    slotOf[index] = best;
  }
  return { slotOf, slotBytes: slots.map((slot) => slot.bytes) };
}

function overlap(left: MemoryRequest, right: MemoryRequest): boolean {
  return left.start <= right.end && right.start <= left.end;
}
