/** A binary heap: the least item first, and of equals the one that was added first. */
export interface PriorityQueue<T> {
  readonly add: (item: T) => void;
  /** undefined when none is left */
  readonly takeLeast: () => T | undefined;
}

interface Entry<T> {
  readonly item: T;
  readonly order: number;
}

/** @param compare negative where the first comes before the second, as in `Array.sort` */
export function priorityQueue<T>(compare: (left: T, right: T) => number): PriorityQueue<T> {
  const heap: Entry<T>[] = [];
  let added = 0;
  const isLess = (left: Entry<T>, right: Entry<T>): boolean =>
    (compare(left.item, right.item) || left.order - right.order) < 0;

  const rise = (start: number): void => {
    for (let place = start; place > 0; ) {
      const parent = (place - 1) >> 1;
      if (!isLess(heap[place]!, heap[parent]!)) return;
      swap(place, parent);
      place = parent;
    }
  };
  const sink = (): void => {
    for (let place = 0; ; ) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2])
        if (child < heap.length && isLess(heap[child]!, heap[least]!)) least = child;
      if (least === place) return;
      swap(place, least);
      place = least;
    }
  };
  const swap = (left: number, right: number): void => {
    [heap[left], heap[right]] = [heap[right]!, heap[left]!];
  };

  return {
    add(item) {
      rise(heap.push({ item, order: added++ }) - 1);
    },
    takeLeast() {
      const least = heap[0];
      const last = heap.pop();
      if (least === undefined || last === undefined) return undefined;
      if (heap.length > 0) {
        heap[0] = last;
        sink();
      }
      return least.item;
    },
  };
}
