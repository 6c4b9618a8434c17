/** Who holds a block, in few characters: `3`, `0…7`, `0 16 … 240`, `Σ(0 1) Σ(2 3)`. */
import type { Cell } from './grid.ts';

/** A piece of text; where it is the number of a device, of which. */
export interface Segment {
  readonly text: string;
  readonly device: number | undefined;
}

/** More are shown by their first and last. */
const mostDevices = 4;
const mostHolders = 2;

export function cellSegments({ holders, combined }: Cell): readonly Segment[] {
  if (combined === '') return deviceSegments(holders.flat());
  const parts = holders.map((devices) => [plain(`${combined}(`), ...deviceSegments(devices), plain(')')]);
  if (parts.length <= mostHolders) return separated(parts);
  return [...parts[0]!, plain(' … '), ...parts.at(-1)!, plain(` (${parts.length})`)];
}

/** All, or, where they are equally far apart, the first and the last; else how many there are, too. */
function deviceSegments(devices: readonly number[]): readonly Segment[] {
  const numbers = devices.map((device): Segment => ({ text: `${device}`, device }));
  if (numbers.length <= mostDevices) return separated(numbers.map((each) => [each]));
  const [first, second] = devices;
  const step = second! - first!;
  const isEven = devices.every((device, place) => device === first! + place * step);
  if (isEven && step === 1) return [numbers[0]!, plain('…'), numbers.at(-1)!];
  const ends = [numbers[0]!, plain(' '), numbers[1]!, plain(' … '), numbers.at(-1)!];
  return isEven ? ends : [...ends, plain(` (${devices.length})`)];
}

function separated(parts: readonly (readonly Segment[])[]): readonly Segment[] {
  return parts.flatMap((part, place) => (place === 0 ? part : [plain(' '), ...part]));
}

function plain(text: string): Segment {
  return { text, device: undefined };
}

export function segmentsWidth(segments: readonly Segment[]): number {
  return segments.reduce((width, { text }) => width + text.length, 0);
}
