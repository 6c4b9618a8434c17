/** The code of loads and stores: addresses of any window, checked by the shadow of each byte. */
import type { Expression } from '../../wasm/code.ts';
import type { InstructionName } from '../../wasm/instructions.ts';
import type { Operand } from '../ptx.ts';
import { bytesOf, type PtxType, ptxTypes } from '../ptx-types.ts';
import {
  both,
  choose,
  highWords,
  i32,
  laneOf,
  longs,
  lowWords,
  run,
  shuffle,
  type Wide,
  wideOf,
  words,
} from './code-text.ts';
import type { LaneWriter } from './lane-writer.ts';
import { half, header, rankShift, shadow, sink, type Window, windows } from './layout.ts';
import type { LaneInstruction } from './steps.ts';

type Address = Extract<Operand, { kind: 'address' }>;

/** Where in memory each lane's access is, and which lanes have an address that is nowhere. */
interface Located {
  readonly linear: Expression;
  readonly bad: Expression;
  /** As the program has it, for the report of a fault. */
  readonly address: Wide;
}

/** The window that an access names, or none for a generic address. */
export function windowOf(space: string | undefined): Window | undefined {
  return space === undefined ? undefined : windowsOfSpaces[space];
}

const windowsOfSpaces: { readonly [space: string]: Window } = {
  ...{ global: 'global', shared: 'shared', 'shared::cta': 'shared', 'shared::cluster': 'shared' },
  ...{ local: 'local', const: 'const', param: 'param', 'param::entry': 'param', 'param::func': 'param' },
};

/** The address as the program has it: of a register and an offset, or of a variable. */
function addressOf(writer: LaneWriter, operand: Address): Wide {
  const { base, offset } = operand;
  if (base === undefined) return { low: longs(BigInt(offset)), high: longs(BigInt(offset)) };
  if (base.kind === 'variable') return writer.wide({ kind: 'symbol', variable: base, offset });
  const value = writer.wide({ kind: 'register', register: base });
  if (offset === 0) return value;
  return writer.holdWide(both(value, (half) => run('i64x2.add', half, longs(BigInt(offset)))));
}

/** What a function hands to another in `.param` is in local memory. */
function windowOfAccess(instruction: LaneInstruction, operand: Address): Window | undefined {
  const window = windowOf(instruction.modifiers.space);
  const isOwn = operand.base?.kind === 'variable' && operand.base.space === 'local';
  return window === 'param' && isOwn ? 'local' : window;
}

/** The lower halves of addresses, which are all there is to one in a window of 32 bits. */
function lowerAddress(writer: LaneWriter, operand: Address): Expression {
  const { base, offset } = operand;
  if (base?.kind !== 'register') return lowWords(addressOf(writer, operand));
  const value = writer.word({ kind: 'register', register: base });
  return offset === 0 ? value : run('i32x4.add', value, words(offset));
}

function locate(
  writer: LaneWriter,
  operand: Address,
  window: Window | undefined,
  space: string | undefined,
): Located {
  const isWide = window === undefined || window === 'global';
  const whole = isWide ? addressOf(writer, operand) : undefined;
  const lower = writer.hold(whole === undefined ? lowerAddress(writer, operand) : lowWords(whole));
  const address = whole ?? wideOf(lower, words(0));
  const { window: bytesOfWindow } = writer.context;
  const global = (): Located => ({
    linear: lower,
    bad: run(
      'v128.or',
      run('i32x4.ne', highWords(address), words(windows.global)),
      // What is not in the first half.
      run('i32x4.lt_s', lower, words(0)),
    ),
    address,
  });
  const inside = (base: Expression, offset: Expression, bytes: Expression): Located => {
    const held = writer.hold(offset);
    return { linear: run('i32x4.add', base, held), bad: run('i32x4.ge_u', held, bytes), address };
  };
  const ofCluster = (): Located => {
    const offset = writer.hold(run('v128.and', lower, words(2 ** rankShift - 1)));
    const rank = writer.hold(run('i32x4.shr_u', lower, i32(rankShift)));
    const base = run(
      'i32x4.add',
      writer.headerWord(header.clusterBase),
      run('i32x4.mul', rank, writer.headerWord(header.sharedStride)),
    );
    const found = inside(base, offset, writer.headerWord(header.sharedBytes));
    const isNoBlock = run('i32x4.ge_u', rank, writer.headerWord(header.clusterBlocks));
    return { ...found, bad: run('v128.or', found.bad, isNoBlock) };
  };
  const shared = (): Located => {
    if (window === undefined || space === 'shared::cluster') return ofCluster();
    const offset = run('i32x4.sub', lower, writer.headerWord(header.sharedWindow));
    return inside(writer.headerWord(header.sharedBase), offset, writer.headerWord(header.sharedBytes));
  };
  const local = (): Located => {
    const own = run('i32x4.mul', writer.laneNumbers(), words(bytesOfWindow.localBytes));
    const base = run('i32x4.add', writer.headerWord(header.localBase), own);
    return inside(base, lower, words(bytesOfWindow.localBytes));
  };
  const constant = (): Located =>
    inside(writer.headerWord(header.constBase), lower, words(bytesOfWindow.constBytes));
  const param = (): Located =>
    inside(writer.headerWord(header.paramBase), lower, words(bytesOfWindow.paramBytes));
  const of: { readonly [W in Window]: () => Located } = { global, shared, local, const: constant, param };
  if (window !== undefined) return of[window]();

  // By its upper half.
  const upper = writer.hold(highWords(address));
  let found = global();
  for (const other of ['shared', 'local', 'const', 'param'] as const) {
    const here = writer.hold(run('i32x4.eq', upper, words(windows[other])));
    const there = of[other]();
    found = {
      linear: writer.hold(choose(here, there.linear, found.linear)),
      bad: writer.hold(choose(here, there.bad, found.bad)),
      address,
    };
  }
  return found;
}

/** The instructions that move a lane's bytes, by their number. */
interface Moves {
  readonly load: InstructionName;
  readonly store: InstructionName;
  /** How many of its lanes are one of 32 bits. */
  readonly stride: number;
  readonly written: Expression;
  readonly allocated: Expression;
}

const moves: { readonly [bytes: number]: Moves } = {
  1: {
    ...{ load: 'v128.load8_lane', store: 'v128.store8_lane', stride: 4 },
    ...{ written: words(shadow.written), allocated: words(shadow.allocated) },
  },
  2: {
    ...{ load: 'v128.load16_lane', store: 'v128.store16_lane', stride: 2 },
    ...{ written: words(shadow.written * 0x0101), allocated: words(shadow.allocated * 0x0101) },
  },
  4: {
    ...{ load: 'v128.load32_lane', store: 'v128.store32_lane', stride: 1 },
    ...{ written: words(shadow.written * 0x01010101), allocated: words(shadow.allocated * 0x01010101) },
  },
};

/** Where the four lanes' accesses are, of lanes that take no part at the sink. */
interface Places {
  /** One by one. */
  readonly each: readonly Expression[];
  /** Of accesses of one word: whether they follow each other, are all at one place, or neither. */
  readonly follow: Expression;
  readonly areSame: Expression;
  readonly areApart: Expression;
}

function placesOf(writer: LaneWriter, located: Located): Places {
  const safe = writer.hold(choose(writer.active(), located.linear, words(sink)));
  const each = [0, 1, 2, 3].map((lane) => writer.hold(laneOf('i32x4.extract_lane', safe, lane)));
  const first = writer.hold(run('i32x4.splat', each[0]!));
  const next = run('i32x4.add', first, { kind: 'v128', words: [0, 4, 8, 12] });
  const follow = writer.hold(run('i32x4.all_true', run('i32x4.eq', safe, next)));
  const areSame = writer.hold(run('i32x4.all_true', run('i32x4.eq', safe, first)));
  const areApart = writer.hold(run('i32.eqz', run('i32.or', follow, areSame)));
  return { each, follow, areSame, areApart };
}

function loadAt(name: InstructionName, address: Expression, offset: number): Expression {
  return { kind: 'instruction', name, operands: [address], offset };
}

/** Of at most 32 bits, at an offset from each lane's place. */
function gather(writer: LaneWriter, places: Places, bytes: number, offset: number): Expression {
  const oneByOne = (): Expression =>
    places.each.reduce(
      (result, address, lane): Expression => ({
        kind: 'instruction',
        name: moves[bytes]!.load,
        operands: [address, result],
        lane: lane * moves[bytes]!.stride,
        offset,
      }),
      words(0),
    );
  if (bytes < 4) return writer.hold(oneByOne());
  const first = places.each[0]!;
  const result = writer.variable();
  writer.when(places.follow, () => result.set(loadAt('v128.load', first, offset)));
  writer.when(places.areSame, () => result.set(loadAt('v128.load32_splat', first, offset)));
  writer.when(places.areApart, () => result.set(oneByOne()));
  return result.value;
}

/** Four words of each lane, as the first words of all, the second, and so on. */
function gatherRows(writer: LaneWriter, { each }: Places, offset: number): readonly Expression[] {
  return turned(
    writer,
    each.map((address) => writer.hold(loadAt('v128.load', address, offset))),
  );
}

function scatter(writer: LaneWriter, places: Places, bytes: number, offset: number, value: Expression): void {
  const { store, stride } = moves[bytes]!;
  const held = writer.hold(value);
  const oneByOne = (): void => {
    for (const [lane, address] of places.each.entries())
      writer.do({
        kind: 'instruction',
        name: store,
        operands: [address, held],
        lane: lane * stride,
        offset,
      });
  };
  if (bytes < 4) {
    oneByOne();
    return;
  }
  writer.when(places.follow, () =>
    writer.do({ kind: 'instruction', name: 'v128.store', operands: [places.each[0]!, held], offset }),
  );
  writer.when(run('i32.eqz', places.follow), oneByOne);
}

/** 64 bits of four lanes. */
function gatherWide(writer: LaneWriter, addresses: readonly Expression[], offset: number): Wide {
  const half = (first: Expression, second: Expression): Expression => {
    const start: Expression = {
      kind: 'instruction',
      name: 'v128.load64_splat',
      operands: [first],
      offset,
    };
    return writer.hold({
      kind: 'instruction',
      name: 'v128.load64_lane',
      operands: [second, start],
      lane: 1,
      offset,
    });
  };
  return { low: half(addresses[0]!, addresses[1]!), high: half(addresses[2]!, addresses[3]!) };
}

function scatterWide(
  writer: LaneWriter,
  addresses: readonly Expression[],
  offset: number,
  value: Wide,
): void {
  const held = writer.holdWide(value);
  for (const [lane, address] of addresses.entries())
    writer.do({
      kind: 'instruction',
      name: 'v128.store64_lane',
      operands: [address, lane < 2 ? held.low : held.high],
      lane: lane % 2,
      offset,
    });
}

/** What must be so of addresses before they are used. */
function checkAddresses(writer: LaneWriter, located: Located, bytes: number): Located {
  const linear = writer.hold(located.linear);
  // Windows begin at multiples of what any access needs.
  const misaligned = run('i32x4.ne', run('v128.and', linear, words(bytes - 1)), words(0));
  const bad = bytes === 1 ? located.bad : run('v128.or', located.bad, misaligned);
  writer.failWhere(run('v128.and', bad, writer.active()), 'access', located.address);
  return { ...located, linear };
}

/** The shadow of what is accessed in words of at most 32 bits must be as expected. */
function checkShadow(
  writer: LaneWriter,
  located: Located,
  places: Places,
  bytes: number,
  isWrite: boolean,
): void {
  const piece = Math.min(bytes, 4);
  const { written, allocated } = moves[piece]!;
  const wanted = isWrite ? allocated : written;
  const all =
    bytes === 16
      ? gatherRows(writer, places, half)
      : Array.from({ length: bytes / piece }, (_, at) => gather(writer, places, piece, half + at * piece));
  const found = all.reduce((some, other) => run('v128.and', some, other));
  const lacking = run('i32x4.ne', run('v128.and', found, wanted), wanted);
  writer.failWhere(lacking, 'access', located.address);
}

/** Of what is named as shared memory, as not yet visible to the unit that copies. */
function markWritten(writer: LaneWriter, places: Places, bytes: number, isShared: boolean): void {
  const piece = Math.min(bytes, 4);
  const unfenced = words((shadow.written | shadow.unfenced) * 0x01010101);
  for (let offset = 0; offset < bytes; offset += piece)
    scatter(writer, places, piece, half + offset, isShared ? unfenced : moves[piece]!.written);
}

/** A read or write of shared memory that no barrier orders after another. */
function checkRaces(
  writer: LaneWriter,
  addresses: readonly Expression[],
  bytes: number,
  isWrite: boolean,
): void {
  const lanes = writer.hold(run('i32x4.bitmask', writer.active()));
  const first = writer.hold(laneOf('i32x4.extract_lane', writer.laneNumbers(), 0));
  for (const [lane, address] of addresses.entries())
    writer.push({
      kind: 'if',
      condition: run('i32.and', lanes, i32(1 << lane)),
      body: [
        {
          kind: 'run',
          callee: isWrite ? 'noteWrite' : 'noteRead',
          operands: [
            writer.warpBase(),
            run('i32.add', first, i32(lane)),
            address,
            i32(bytes),
            i32(writer.number()),
          ],
        },
      ],
    });
}

function elementsOf(operand: Operand): readonly Operand[] {
  return operand.kind === 'vector' ? operand.elements : [operand];
}

/** How the lanes of an access get at their bytes, where they follow each other and where they do not. */
interface Ways {
  /** From the place of the first lane's on. */
  readonly together: ((first: Expression) => void) | undefined;
  /** All at the place of the first. */
  readonly same?: (first: Expression) => void;
  readonly apart: (places: Places) => void;
}

/**
 * Mostly the four lanes take part, and what they access lies together: then it is checked at once. Else each
 * is looked at by itself, and what is wrong is found.
 */
function access(
  writer: LaneWriter,
  instruction: LaneInstruction,
  operand: Address,
  count: number,
  isWrite: boolean,
  ways: Ways,
): void {
  const bytes = bytesOf(instruction.types[0]!) * count;
  const window = windowOfAccess(instruction, operand);
  const { space } = instruction.modifiers;
  const { checksMemory } = writer.context;
  // Races are told of shared memory that is named as such.
  const checksRaces = writer.context.checksRaces && window === 'shared' && space !== 'shared::cluster';
  const { order = 'weak' } = instruction.modifiers;
  const isOrdered = order !== 'weak';
  if (writer.context.checksGlobalRaces && isOrdered && (window === 'global' || window === undefined))
    writer.push({ kind: 'run', callee: 'synchronise', operands: [writer.warpBase()] });
  const checksGlobal = writer.context.checksGlobalRaces && !isOrdered && window === 'global';
  const noteGlobalAs = (suffix: 's' | 'Bytes' | '', address: Expression, count: number): void =>
    writer.push({
      kind: 'run',
      callee: `noteGlobal${isWrite ? 'Write' : 'Read'}${suffix}`,
      operands: [writer.warpBase(), address, i32(count), i32(writer.number())],
    });
  const noteGlobal = (address: Expression): void =>
    bytes < 4 ? noteGlobalAs('Bytes', address, bytes) : noteGlobalAs('', address, bytes / 4);
  const noteGlobalFour = (first: Expression): void => {
    if (bytes >= 4) noteGlobalAs('s', first, bytes / 4);
    else
      for (let lane = 0; lane < 4; lane++) noteGlobal(writer.hold(run('i32.add', first, i32(lane * bytes))));
  };
  const located = locate(writer, operand, window, space);
  const linear = writer.hold(located.linear);
  const bad = writer.hold(located.bad);
  const active = writer.hold(writer.active());
  const { together } = ways;
  const apart = (): void => {
    const places = placesOf(writer, checkAddresses(writer, { ...located, linear, bad }, bytes));
    if (checksMemory) checkShadow(writer, { ...located, linear }, places, bytes, isWrite);
    if (checksRaces) checkRaces(writer, places.each, bytes, isWrite);
    if (checksGlobal) {
      const bits = writer.hold(run('i32x4.bitmask', active));
      for (const [lane, place] of places.each.entries())
        writer.when(run('i32.and', bits, i32(1 << lane)), () => noteGlobal(place));
    }
    ways.apart(places);
    if (isWrite && checksMemory) markWritten(writer, places, bytes, window === 'shared');
  };
  if (together === undefined) {
    apart();
    return;
  }
  const first = writer.hold(laneOf('i32x4.extract_lane', linear, 0));
  const steps: Expression = { kind: 'v128', words: [0, bytes, 2 * bytes, 3 * bytes] };
  const firsts = writer.hold(run('i32x4.splat', first));
  const mayBe = writer.hold(run('v128.andnot', active, bad));
  const areAll = (places: Expression): Expression =>
    run('i32x4.all_true', run('v128.and', run('i32x4.eq', linear, places), mayBe));
  const isAligned = writer.hold(run('i32.eqz', run('i32.and', first, i32(bytes - 1))));
  const isPlain = writer.flag(run('i32.and', areAll(run('i32x4.add', firsts, steps)), isAligned));
  if (checksMemory) writer.when(isPlain.value, () => isPlain.set(isStateOf(first, bytes, isWrite)));
  writer.when(isPlain.value, () => {
    if (checksRaces) noteTogether(writer, first, bytes, isWrite);
    if (checksGlobal) noteGlobalFour(first);
    together(first);
    if (isWrite && checksMemory) markTogether(writer, first, bytes, window === 'shared');
  });
  writer.when(run('i32.eqz', isPlain.value), () => {
    if (ways.same === undefined) {
      apart();
      return;
    }
    const isSame = writer.flag(run('i32.and', areAll(firsts), isAligned));
    if (checksMemory) {
      const wanted = words(shadow.written * 0x01010101);
      const state = run('v128.and', loadAt('v128.load32_splat', first, half), wanted);
      writer.when(isSame.value, () => isSame.set(run('i32x4.all_true', run('i32x4.eq', state, wanted))));
    }
    writer.when(isSame.value, () => {
      // Two lanes are several, as all four are.
      if (checksRaces) checkRaces(writer, [first, first], bytes, false);
      if (checksGlobal) noteGlobal(first);
      ways.same?.(first);
    });
    writer.when(run('i32.eqz', isSame.value), apart);
  });
}

/** Whether the shadow of four lanes' accesses is as it should be. */
function isStateOf(first: Expression, bytes: number, isWrite: boolean): Expression {
  const state = isWrite ? shadow.allocated : shadow.written;
  const wanted = words(state * (bytes === 2 ? 0x0101 : 0x01010101));
  const states =
    bytes === 2
      ? [loadAt('v128.load16x4_u', first, half)]
      : Array.from({ length: bytes / 4 }, (_, at) => loadAt('v128.load', first, half + 16 * at));
  const all = states.reduce((some, other) => run('v128.and', some, other));
  return run('i32x4.all_true', run('i32x4.eq', run('v128.and', all, wanted), wanted));
}

function markTogether(writer: LaneWriter, first: Expression, bytes: number, isShared: boolean): void {
  const state = words((isShared ? shadow.written | shadow.unfenced : shadow.written) * 0x01010101);
  if (bytes === 2) storeLane(writer, first, state, half);
  else for (let at = 0; at < bytes; at += 4) storeAt(writer, first, state, half + 4 * at);
}

/** Of whole words; others are noted one by one. */
function noteTogether(writer: LaneWriter, first: Expression, bytes: number, isWrite: boolean): void {
  if (bytes < 4) {
    const each = [0, 1, 2, 3].map((lane) => run('i32.add', first, i32(lane * bytes)));
    checkRaces(writer, each, bytes, isWrite);
    return;
  }
  const lanes = writer.hold(writer.laneNumbers());
  const perLane = bytes / 4;
  for (let at = 0; at < perLane; at++) {
    const owner = (word: number): number => Math.floor((4 * at + word) / perLane);
    writer.push({
      kind: 'run',
      callee: isWrite ? 'noteWriteFour' : 'noteReadFour',
      operands: [
        writer.warpBase(),
        shuffle(lanes, lanes, [owner(0), owner(1), owner(2), owner(3)]),
        run('i32.add', first, i32(16 * at)),
        i32(writer.number()),
      ],
    });
  }
}

function storeAt(writer: LaneWriter, address: Expression, value: Expression, offset: number): void {
  writer.do({ kind: 'instruction', name: 'v128.store', operands: [address, value], offset });
}

/** The lower 64 bits. */
function storeLane(writer: LaneWriter, address: Expression, value: Expression, offset: number): void {
  writer.do({
    kind: 'instruction',
    name: 'v128.store64_lane',
    operands: [address, value],
    lane: 0,
    offset,
  });
}

/** Four by four words, turned. */
function turned(writer: LaneWriter, rows: readonly Expression[]): readonly Expression[] {
  const [a, b, c, d] = rows as [Expression, Expression, Expression, Expression];
  const halves = ([0, 2] as const).map((at) =>
    [
      [a, b],
      [c, d],
    ].map(([x, y]) => writer.hold(shuffle(x!, y!, [at, at + 4, at + 1, at + 5]))),
  );
  return halves.flatMap(([ab, cd]) => [
    writer.hold(shuffle(ab!, cd!, [0, 1, 4, 5])),
    writer.hold(shuffle(ab!, cd!, [2, 3, 6, 7])),
  ]);
}

/**
 * What lanes have, of vectors in memory, by the bytes of an element and how many a lane has: as many vectors
 * as a lane has words, those of 64-bit elements in pairs.
 */
const fromVectors: {
  readonly [form: string]: (writer: LaneWriter, vectors: readonly Expression[]) => readonly Expression[];
} = {
  '4 1': (_, vectors) => vectors,
  '4 2': (_, [a, b]) => [shuffle(a!, b!, [0, 2, 4, 6]), shuffle(a!, b!, [1, 3, 5, 7])],
  '4 4': turned,
  '8 1': (_, vectors) => vectors,
  '8 2': (_, [a, b, c, d]) => [
    ...[shuffle(a!, b!, [0, 1, 4, 5]), shuffle(c!, d!, [0, 1, 4, 5])],
    ...[shuffle(a!, b!, [2, 3, 6, 7]), shuffle(c!, d!, [2, 3, 6, 7])],
  ],
};

const toVectors: typeof fromVectors = {
  '4 1': (_, values) => values,
  '4 2': (_, [a, b]) => [shuffle(a!, b!, [0, 4, 1, 5]), shuffle(a!, b!, [2, 6, 3, 7])],
  '4 4': turned,
  '8 1': (_, values) => values,
  '8 2': (_, [a, b, c, d]) => [
    ...[shuffle(a!, c!, [0, 1, 4, 5]), shuffle(a!, c!, [2, 3, 6, 7])],
    ...[shuffle(b!, d!, [0, 1, 4, 5]), shuffle(b!, d!, [2, 3, 6, 7])],
  ],
};

/** A parameter at a place that the text gives: it is there, and the same for all lanes. */
function loadParameter(
  writer: LaneWriter,
  instruction: LaneInstruction,
  operand: Address,
  count: number,
): readonly Expression[] | undefined {
  const { base, offset } = operand;
  const size = bytesOf(instruction.types[0]!);
  if (base?.kind !== 'variable' || base.space !== 'param' || offset < 0) return undefined;
  if (offset + size * count > base.bytes || offset % size !== 0) return undefined;
  const start = writer.hold(loadAt('i32.load', writer.warpBase(), header.paramBase));
  const place = writer.context.offsetOf(base) + offset;
  const splats: { readonly [bytes: number]: InstructionName } = {
    ...{ 1: 'v128.load8_splat', 2: 'v128.load16_splat' },
    ...{ 4: 'v128.load32_splat', 8: 'v128.load64_splat' },
  };
  return Array.from({ length: count }, (_, at) => {
    const all = loadAt(splats[size]!, start, place + at * size);
    return writer.hold(size < 4 ? run('v128.and', all, words(2 ** (8 * size) - 1)) : all);
  }).flatMap((value) => (size === 8 ? [value, value] : [value]));
}

function addressIn(writer: LaneWriter, operand: Operand): Address {
  return operand.kind === 'address' ? operand : writer.unsupported('an address of this kind');
}

function sizeOf(writer: LaneWriter, instruction: LaneInstruction): number {
  const size = bytesOf(instruction.types[0]!);
  return size > 8 ? writer.unsupported('a type of 128 bits') : size;
}

export function load(writer: LaneWriter, instruction: LaneInstruction): void {
  const [target, place] = instruction.operands as [Operand, Operand];
  const from = addressIn(writer, place);
  const results = elementsOf(target);
  const size = sizeOf(writer, instruction);
  const count = results.length;
  const values =
    loadParameter(writer, instruction, from, count) ?? loadChecked(writer, instruction, from, count);
  results.forEach((result, at) => {
    if (size === 8) writer.setWide(result, { low: values[2 * at]!, high: values[2 * at + 1]! });
    else setLoaded(writer, instruction.types[0]!, result, values[at]!);
  });
}

/** A vector for each result, and two where it has 64 bits. */
function loadChecked(
  writer: LaneWriter,
  instruction: LaneInstruction,
  from: Address,
  count: number,
): readonly Expression[] {
  const size = sizeOf(writer, instruction);
  const loaded = Array.from({ length: size === 8 ? 2 * count : count }, () => writer.variable());
  const set = (values: readonly Expression[]): void => {
    for (const [at, each] of loaded.entries()) each.set(values[at]!);
  };
  const form = fromVectors[`${size} ${count}`];
  const together = (first: Expression): void => {
    if (form === undefined) set([loadAt('v128.load16x4_u', first, 0)]);
    else {
      const vectors = Array.from({ length: (size * count) / 4 }, (_, at) =>
        writer.hold(loadAt('v128.load', first, 16 * at)),
      );
      set(form(writer, vectors));
    }
  };
  access(writer, instruction, from, count, false, {
    together: form !== undefined || (size === 2 && count === 1) ? together : undefined,
    ...(size === 4 && count === 1
      ? { same: (first: Expression) => set([loadAt('v128.load32_splat', first, 0)]) }
      : {}),
    apart: (places) => {
      if (size === 4 && count === 4) set(gatherRows(writer, places, 0));
      else if (size === 8)
        set(
          Array.from({ length: count }, (_, at) => gatherWide(writer, places.each, at * size)).flatMap(
            ({ low, high }) => [low, high],
          ),
        );
      else set(Array.from({ length: count }, (_, at) => gather(writer, places, size, at * size)));
    },
  });
  return loaded.map(({ value }) => value);
}

/** A value of at most 32 bits, extended as its type is where the register is wider. */
function setLoaded(writer: LaneWriter, type: PtxType, result: Operand, value: Expression): void {
  const size = bytesOf(type);
  if (ptxTypes[type].class !== 'signed') {
    writer.setWord(result, value);
    return;
  }
  const width = result.kind === 'register' ? ptxTypes[result.register.type].bits : 32;
  const shift = i32(32 - 8 * size);
  const extended =
    size === 4 ? value : writer.hold(run('i32x4.shr_s', run('i32x4.shl', value, shift), shift));
  if (width === 64)
    writer.setWide(result, wideOf(extended, writer.hold(run('i32x4.shr_s', extended, i32(31)))));
  else writer.setWord(result, width === 16 ? run('v128.and', extended, words(0xffff)) : extended);
}

export function store(writer: LaneWriter, instruction: LaneInstruction): void {
  const [place, source] = instruction.operands as [Operand, Operand];
  const to = addressIn(writer, place);
  const elements = elementsOf(source);
  const size = sizeOf(writer, instruction);
  const count = elements.length;
  const wides = size === 8 ? elements.map((each) => writer.holdWide(writer.wide(each))) : [];
  const singles = size === 8 ? [] : elements.map((each) => writer.hold(writer.word(each)));
  const form = toVectors[`${size} ${count}`];
  const together = (first: Expression): void => {
    const values = size === 8 ? wides.flatMap(({ low, high }) => [low, high]) : singles;
    if (form === undefined) {
      const low = run('v128.and', values[0]!, words(0xffff));
      storeLane(writer, first, writer.hold(run('i16x8.narrow_i32x4_u', low, low)), 0);
    } else for (const [at, vector] of form(writer, values).entries()) storeAt(writer, first, vector, 16 * at);
  };
  access(writer, instruction, to, count, true, {
    together: form !== undefined || (size === 2 && count === 1) ? together : undefined,
    apart: (places) => {
      for (const [at, wide] of wides.entries()) scatterWide(writer, places.each, at * size, wide);
      for (const [at, word] of singles.entries()) scatter(writer, places, size, at * size, word);
    },
  });
}
