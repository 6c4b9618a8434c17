/**
 * Which parts of a device's memory are in use. Buffers come first, and from the end what kernels have no
 * addresses of in global memory: so a pointer that is a little off, or old, meets with nothing.
 */
import { alignTo, half, sinkBytes } from './layout.ts';

interface Range {
  readonly start: number;
  readonly end: number;
}

export class Heap {
  /** By place. */
  private free: Range[] = [{ start: sinkBytes, end: half }];
  private readonly used = new Map<number, Range>();

  /** Where so many bytes are, or nothing where there are not so many. Nothing is known of what is in them. */
  reserve(bytes: number, alignment: number): number | undefined {
    for (const { start, end } of this.free) {
      const first = alignTo(start, alignment);
      if (first + bytes <= end) return this.take(first, alignTo(first + Math.max(1, bytes), 16));
    }
    return undefined;
  }

  /** The last place that there is. */
  reserveAtEnd(bytes: number, alignment: number): number | undefined {
    for (const { start, end } of this.free.toReversed()) {
      const first = Math.floor((end - Math.max(1, bytes)) / alignment) * alignment;
      if (first >= start) return this.take(first, end);
    }
    return undefined;
  }

  private take(start: number, end: number): number {
    this.free = this.free.flatMap((range): readonly Range[] => {
      if (start < range.start || start >= range.end) return [range];
      const rest = [
        { start: range.start, end: start },
        { start: end, end: range.end },
      ];
      return rest.filter((each) => each.start < each.end);
    });
    this.used.set(start, { start, end });
    return start;
  }

  /** They may be given again. */
  release(start: number): void {
    const range = this.used.get(start);
    if (range === undefined) return;
    this.used.delete(start);
    const all = [...this.free, range].sort((a, b) => a.start - b.start);
    this.free = [];
    for (const each of all) {
      const before = this.free.at(-1);
      if (before?.end === each.start)
        this.free[this.free.length - 1] = { start: before.start, end: each.end };
      else this.free.push(each);
    }
  }
}
