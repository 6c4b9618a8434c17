/**
 * A trace as a file of trace events, which Perfetto and chrome://tracing open: a process for each device, in
 * it a thread for what it computes and one or more for what it exchanges, and arrows from who sends to who
 * receives. https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 */
import type { ExchangeStep } from '../../compiler/plan/package.ts';
import type { Slice, SliceExchange, Trace, TracedDevice } from './trace.ts';

/** Between more devices than this all-to-all arrows would hide what they point at: there are none then. */
const mostWithArrows = 16;

type Event = Readonly<Record<string, unknown>>;

export function traceText({ entry, clock, devices }: Trace): string {
  const events = [
    ...devices.flatMap(namesOf),
    ...devices.flatMap(({ slices }, device) => slices.map((slice) => complete(device, slice))),
    ...arrows(devices),
  ];
  const otherData = { entry, clock };
  const lines = events.map((event) => JSON.stringify(event)).join(',\n');
  return `{"displayTimeUnit":"ns","otherData":${JSON.stringify(otherData)},"traceEvents":[\n${lines}\n]}\n`;
}

/** Threads are numbered from what is computed; the lanes of what is exchanged follow. */
function threadOf({ track }: Slice): number {
  return track === 'compute' ? 0 : 1 + track.lane;
}

function threadName(thread: number): string {
  if (thread === 0) return 'compute';
  return thread === 1 ? 'communication' : `communication ${thread}`;
}

function namesOf({ name, slices }: TracedDevice, device: number): readonly Event[] {
  const threads = [...new Set(slices.map(threadOf))].toSorted((left, right) => left - right);
  const named = (kind: string, args: Event, tid = 0): Event => ({
    name: kind,
    ph: 'M',
    pid: device,
    tid,
    args,
  });
  return [
    named('process_name', { name }),
    named('process_sort_index', { sort_index: device }),
    ...threads.flatMap((thread) => [
      named('thread_name', { name: threadName(thread) }, thread),
      named('thread_sort_index', { sort_index: thread }, thread),
    ]),
  ];
}

function complete(device: number, slice: Slice): Event {
  return {
    name: slice.name,
    cat: slice.exchange === undefined ? 'compute' : 'communication',
    ph: 'X',
    pid: device,
    tid: threadOf(slice),
    ts: microseconds(slice.startNanoseconds),
    dur: microseconds(slice.nanoseconds),
    args: slice.arguments,
  };
}

function microseconds(nanoseconds: number): number {
  return Math.round(nanoseconds) / 1000;
}

// ── who sends to whom ──────────────────────────────────────────────────────────────────────────────────────

type Receivers = (rank: number, devices: number) => readonly number[];

const others: Receivers = (rank, devices) =>
  Array.from({ length: devices }, (_, other) => other).filter((other) => other !== rank);

/** Whose values a device's are part of, or come to; how a communicator gets them there is its own affair. */
const receivers: { readonly [V in ExchangeStep['verb']]: Receivers } = {
  all_gather: others,
  all_reduce: others,
  reduce_scatter: others,
  all_to_all: others,
  shift: (rank, devices) => (devices === 1 ? [] : [(rank + 1) % devices]),
  broadcast: (rank, devices) => (rank === 0 ? others(0, devices) : []),
};

interface Part {
  readonly device: number;
  readonly slice: Slice;
  readonly exchange: SliceExchange;
}

function arrows(devices: readonly TracedDevice[]): readonly Event[] {
  const parts = devices.flatMap(({ slices }, device) =>
    slices.flatMap((slice): Part[] =>
      slice.exchange === undefined ? [] : [{ device, slice, exchange: slice.exchange }],
    ),
  );
  const byPlace = new Map(parts.map((part) => [`${part.exchange.number} ${part.device}`, part]));
  let id = 0;
  return parts.flatMap((from) => {
    const { number, verb, group } = from.exchange;
    const ranks = receivers[verb](group.indexOf(from.device), group.length);
    if (ranks.length > 1 && group.length > mostWithArrows) return [];
    return ranks.flatMap((rank) => {
      const to = byPlace.get(`${number} ${group[rank]}`);
      return to === undefined ? [] : arrow(id++, from, to);
    });
  });
}

/** Each end lies within the slice that it belongs to; it arrives after it was sent, where clocks agree. */
function arrow(id: number, from: Part, to: Part): readonly Event[] {
  const [sent, done] = [from.slice.startNanoseconds, to.slice.startNanoseconds + to.slice.nanoseconds];
  const arrived = Math.min(done, Math.max(sent, to.slice.startNanoseconds + to.slice.nanoseconds / 2));
  const end = (ph: 's' | 'f', { device, slice }: Part, at: number): Event => ({
    name: 'send',
    cat: 'communication',
    ph,
    ...(ph === 'f' ? { bp: 'e' } : {}),
    id,
    pid: device,
    tid: threadOf(slice),
    ts: microseconds(at),
  });
  return [end('s', from, sent), end('f', to, arrived)];
}
