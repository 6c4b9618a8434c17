/** For tests: what is wrong with the text of a trace. */

interface Event {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly cat?: string;
  readonly id?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface ExpectedTrace {
  readonly devices: number;
  /** On each device. */
  readonly exchanges: number;
  /** Devices of a group. */
  readonly of: number;
  /** Arrows that leave a device in an exchange; by default one to each other device of the group. */
  readonly arrows?: number;
}

/** Timestamps are rounded to a thousandth of a microsecond. */
const rounding = 0.0015;

export function traceFaults(text: string, expected: ExpectedTrace): readonly string[] {
  const { traceEvents } = JSON.parse(text) as { readonly traceEvents: readonly Event[] };
  const slices = traceEvents.filter(({ ph }) => ph === 'X');
  const devices = [...new Set(slices.map(({ pid }) => pid))].toSorted((left, right) => left - right);
  const named = traceEvents.filter(({ name }) => name === 'process_name').map(({ pid }) => pid);
  const wanted = Array.from({ length: expected.devices }, (_, device) => device);
  return [
    ...(`${devices}` === `${wanted}` && `${named}` === `${wanted}` ? [] : ['not all devices are there']),
    ...overlaps(slices),
    ...exchangeFaults(slices, devices, expected),
    ...arrowFaults(traceEvents, slices, expected),
  ];
}

function overlaps(slices: readonly Event[]): readonly string[] {
  const ends = new Map<string, number>();
  return slices.flatMap(({ name, pid, tid, ts, dur }) => {
    const track = `${pid} ${tid}`;
    const isEarly = ts < (ends.get(track) ?? 0) - rounding || dur < 0;
    ends.set(track, ts + dur);
    return isEarly ? [`${name} on ${track} begins before the one before it ends`] : [];
  });
}

/** Exchanges of one number come in one order, and those of one group go on at one time. */
function exchangeFaults(
  slices: readonly Event[],
  devices: readonly number[],
  { exchanges, of }: ExpectedTrace,
): readonly string[] {
  const all = slices.filter(({ cat }) => cat === 'communication');
  const ofDevice = devices.map((device) => all.filter(({ pid }) => pid === device));
  return devices.flatMap((device, place) => {
    const own = ofDevice[place]!;
    const groups = own.map(({ args }) => `${args?.devices}`.split(' ').map(Number));
    if (own.length !== exchanges) return [`device ${device} has ${own.length} exchanges`];
    if (!groups.every((group) => group.length === of && group.includes(device)))
      return [`a group of device ${device} is not one`];
    return own.flatMap((exchange, number) =>
      groups[number]!.flatMap((other) => {
        const theirs = ofDevice[devices.indexOf(other)]?.[number];
        if (theirs === undefined || theirs.name !== exchange.name)
          return [`${exchange.name} is not on ${other}`];
        const isApart =
          theirs.ts > exchange.ts + exchange.dur + rounding ||
          exchange.ts > theirs.ts + theirs.dur + rounding;
        const isAllToAll = !/^(shift|broadcast)/.test(exchange.name);
        return isApart && isAllToAll ? [`${exchange.name} of ${device} is over before that of ${other}`] : [];
      }),
    );
  });
}

function arrowFaults(
  events: readonly Event[],
  slices: readonly Event[],
  { devices, exchanges, of, arrows = of - 1 }: ExpectedTrace,
): readonly string[] {
  const [starts, ends] = ['s', 'f'].map((kind) => events.filter(({ ph }) => ph === kind));
  const isInSlice = ({ pid, tid, ts }: Event) =>
    slices.some(
      (slice) =>
        slice.pid === pid &&
        slice.tid === tid &&
        slice.ts <= ts + rounding &&
        ts <= slice.ts + slice.dur + rounding,
    );
  const pairs = starts!.map((start) => ends!.filter(({ id }) => id === start.id));
  const count = starts!.length === devices * exchanges * arrows && ends!.length === starts!.length;
  return [
    ...(count ? [] : [`there are ${starts!.length} arrows, ${ends!.length} arrive`]),
    ...pairs.flatMap((found, place) =>
      found.length === 1 && found[0]!.pid !== starts![place]!.pid ? [] : ['a pair'],
    ),
    ...[...starts!, ...ends!].flatMap((end) => (isInSlice(end) ? [] : ['an arrow ends nowhere'])),
  ];
}
