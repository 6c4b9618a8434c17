/**
 * The instructions of PTX as one table: which modifiers each takes, how many types, and what its operands
 * are. The parser reads by it, and whoever writes PTX or runs it is typed by it (PTX ISA 8.x, "Instruction
 * set").
 */

/** What a word behind an opcode may be. A word belongs to the first group of its instruction that has it. */
const groups = {
  rounding: 'rn rz rm rp rna rni rzi rmi rpi',
  precision: 'approx full',
  ftz: 'ftz',
  noftz: 'noftz',
  sat: 'sat satfinite',
  relu: 'relu',
  carry: 'cc',
  part: 'lo hi wide',
  comparison: 'eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan',
  combine: 'and or xor',
  nan: 'NaN',
  xorsign: 'xorsign',
  abs: 'abs',
  space: 'param param::entry param::func global shared shared::cta shared::cluster local const',
  source: 'global shared shared::cta shared::cluster',
  order: 'weak volatile relaxed acquire release acq_rel sc mmio',
  scope: 'cta cluster gpu sys gl',
  vector: 'v2 v4 v8',
  cache: 'ca cg cs lu cv wb wt',
  readonly: 'nc',
  to: 'to',
  uni: 'uni',
  aligned: 'aligned',
  sync: 'sync',
  mode: 'up down bfly idx all any uni ballot f4e b4e rc8 ecl ecr rc16',
  side: 'l r',
  limit: 'wrap clamp',
  accumulate: 'add',
  operation: 'and or xor add inc dec min max exch cas popc',
  test: 'finite infinite number notanumber normal subnormal',
  shape: 'm8n8 m8n16 m16n16 m16n8k4 m16n8k8 m16n8k16 m16n8k32 m16n8k64 m8n8k4 m8n8k16 m8n8k32 m8n8k128',
  fragment: 'm16n16k16 m8n32k16 m32n8k16 m16n16k8 m8n8k4',
  count: 'x1 x2 x4',
  trans: 'trans',
  layoutA: 'row col',
  layoutB: 'row col',
  popcount: 'and xor',
  shiftAmount: 'shiftamt',
  noInc: 'noinc',
  noComplete: 'noComplete',
  expectTx: 'expect_tx',
  parity: 'parity',
  read: 'read',
  all: 'all',
  dimension: '1d 2d 3d 4d 5d',
  tile: 'tile im2col',
  completion: 'mbarrier::complete_tx::bytes bulk_group mbarrier::arrive::one',
  multicast: 'multicast::cluster',
  level: 'L1 L2',
  evict: 'L1::evict_normal L1::evict_unchanged L1::evict_first L1::evict_last L1::no_allocate',
  hint: 'L2::cache_hint',
  primary: 'L2::evict_last L2::evict_normal L2::evict_first L2::evict_unchanged',
  secondary: 'L2::evict_first L2::evict_unchanged',
  prefetched: 'L2::64B L2::128B L2::256B',
  change: 'inc dec',
  proxy: 'async alias generic tensormap::generic',
  shapeOfGroup: Array.from({ length: 32 }, (_, at) =>
    [8, 16, 32].map((k) => `m64n${8 * (at + 1)}k${k}`).join(' '),
  ).join(' '),
} as const;

export type ModifierGroup = keyof typeof groups;

const words = new Map(
  Object.entries(groups).map(([group, all]) => [group as ModifierGroup, new Set(all.split(' '))]),
);

/** The first of the groups that has the word. */
export function groupOf(word: string, among: readonly ModifierGroup[]): ModifierGroup | undefined {
  return among.find((group) => words.get(group)?.has(word) === true);
}

/**
 * What an operand is: a destination, registers that are added to, a predicate that is written, a source, an
 * address, a predicate that is read (or its negation), a source or a predicate, a constant, a label or
 * function, the arguments of a call.
 */
export type OperandKind =
  | 'write'
  | 'update'
  | 'writePredicate'
  | 'read'
  | 'address'
  | 'predicate'
  | 'readOrPredicate'
  | 'constant'
  | 'name'
  | 'arguments';

export interface OperandFacts {
  readonly kind: OperandKind;
  readonly optional: boolean;
}

/**
 * How it is run: by each lane for itself; by the lanes of a warp together; as a step of control; or it is
 * about speed only.
 */
export type Unit = 'lane' | 'warp' | 'control' | 'nothing';

export interface InstructionFacts<U extends Unit = Unit> {
  readonly unit: U;
  readonly modifiers: readonly ModifierGroup[];
  /** The number of types behind it, at least and at most. */
  readonly types: readonly [number, number];
  readonly operands: readonly OperandFacts[];
}

const operandLetters: { readonly [letter: string]: OperandKind } = {
  d: 'write',
  u: 'update',
  p: 'writePredicate',
  r: 'read',
  m: 'address',
  q: 'predicate',
  e: 'readOrPredicate',
  i: 'constant',
  n: 'name',
  a: 'arguments',
};

/** @param operands letters of what each is, with `?` behind one that may be left out: `d r r?` */
function entry<U extends Unit>(
  unit: U,
  operands: string,
  types: number | readonly [number, number],
  modifiers: string = '',
): InstructionFacts<U> {
  return {
    unit,
    modifiers: modifiers === '' ? [] : (modifiers.split(' ') as ModifierGroup[]),
    types: typeof types === 'number' ? [types, types] : types,
    operands:
      operands === ''
        ? []
        : operands.split(' ').map((text) => ({
            kind: operandLetters[text[0]!]!,
            optional: text.endsWith('?'),
          })),
  };
}

const lane = (operands: string, types: number | readonly [number, number], modifiers = '') =>
  entry('lane', operands, types, modifiers);
const warp = (operands: string, types: number | readonly [number, number], modifiers = '') =>
  entry('warp', operands, types, modifiers);
const control = (operands: string, modifiers = '') => entry('control', operands, 0, modifiers);
const nothing = (operands: string, modifiers = '') => entry('nothing', operands, [0, 1], modifiers);

const access = 'order scope space cache readonly evict hint prefetched vector';
const arithmetic = 'rounding ftz sat carry';

const table = {
  // Integer and floating-point arithmetic.
  add: lane('d r r', 1, arithmetic),
  sub: lane('d r r', 1, arithmetic),
  mul: lane('d r r', 1, `part ${arithmetic}`),
  mad: lane('d r r r', 1, `part ${arithmetic}`),
  addc: lane('d r r', 1, 'carry'),
  subc: lane('d r r', 1, 'carry'),
  madc: lane('d r r r', 1, 'part carry'),
  fma: lane('d r r r', 1, 'rounding ftz sat relu'),
  mul24: lane('d r r', 1, 'part'),
  mad24: lane('d r r r', 1, 'part sat'),
  div: lane('d r r', 1, 'precision rounding ftz'),
  rem: lane('d r r', 1),
  abs: lane('d r', 1, 'ftz'),
  neg: lane('d r', 1, 'ftz'),
  min: lane('d r r', 1, 'ftz nan xorsign abs relu'),
  max: lane('d r r', 1, 'ftz nan xorsign abs relu'),
  sad: lane('d r r r', 1),
  rcp: lane('d r', 1, 'precision rounding ftz'),
  sqrt: lane('d r', 1, 'precision rounding ftz'),
  rsqrt: lane('d r', 1, 'precision ftz'),
  sin: lane('d r', 1, 'precision ftz'),
  cos: lane('d r', 1, 'precision ftz'),
  lg2: lane('d r', 1, 'precision ftz'),
  ex2: lane('d r', 1, 'precision ftz'),
  tanh: lane('d r', 1, 'precision'),
  testp: lane('p r', 1, 'test'),
  copysign: lane('d r r', 1),
  // Bits.
  and: lane('d r r', 1),
  or: lane('d r r', 1),
  xor: lane('d r r', 1),
  not: lane('d r', 1),
  cnot: lane('d r', 1),
  lop3: lane('d r r r i', 1),
  shl: lane('d r r', 1),
  shr: lane('d r r', 1),
  shf: lane('d r r r', 1, 'side limit'),
  bfe: lane('d r r r', 1),
  bfi: lane('d r r r r', 1),
  bfind: lane('d r', 1, 'shiftAmount'),
  fns: lane('d r r r', 1),
  bmsk: lane('d r r', 1, 'limit'),
  szext: lane('d r r', 1, 'limit'),
  brev: lane('d r', 1),
  clz: lane('d r', 1),
  popc: lane('d r', 1),
  prmt: lane('d r r r', 1, 'mode'),
  dp4a: lane('d r r r', 2),
  vabsdiff2: lane('d r r r', 3, 'accumulate sat'),
  vabsdiff4: lane('d r r r', 3, 'accumulate sat'),
  dp2a: lane('d r r r', 2, 'part'),
  // Comparison and choice.
  setp: lane('p r r q?', 1, 'comparison combine ftz'),
  set: lane('d r r q?', 2, 'comparison combine ftz'),
  selp: lane('d r r q', 1),
  slct: lane('d r r r', 2, 'ftz'),
  // Movement and conversion.
  mov: lane('d r', 1),
  cvta: lane('d r', 1, 'to space'),
  cvt: lane('d r r?', 2, 'rounding ftz sat relu'),
  isspacep: lane('p r', 0, 'space'),
  mapa: lane('d r r', 1, 'space'),
  ld: lane('d m r?', 1, access),
  ldu: lane('d m', 1, 'space vector'),
  st: lane('m r r?', 1, access),
  'createpolicy.fractional': lane('d r?', 1, 'primary secondary'),
  'createpolicy.range': lane('d m r r', 1, 'space primary secondary'),
  // Across lanes.
  'shfl.sync': warp('d r r r r', 1, 'mode'),
  'vote.sync': warp('p q r', 1, 'mode'),
  'match.any.sync': warp('d r r', 1),
  'match.all.sync': warp('d r r', 1),
  'redux.sync': warp('d r r', 1, 'operation'),
  activemask: warp('d', 1),
  'elect.sync': warp('d r', 0),
  // The stack of a thread.
  alloca: warp('d r i?', 1),
  stacksave: warp('d', 1),
  stackrestore: warp('r', 1),
  // Memory that several threads change.
  atom: warp('d m r r?', 1, 'order scope space operation noftz vector hint'),
  red: warp('m r', 1, 'order scope space operation noftz vector hint'),
  // Barriers.
  'bar.sync': warp('r r?', 0),
  'bar.arrive': warp('r r', 0),
  'bar.red': warp('p r e q?', 1, 'operation'),
  'bar.warp.sync': warp('r', 0),
  'barrier.sync': warp('r r?', 0, 'aligned'),
  'barrier.arrive': warp('r r', 0, 'aligned'),
  'barrier.red': warp('p r e q?', 1, 'operation aligned'),
  // Copies that go on by themselves.
  'cp.async': warp('m m i r?', 0, 'cache space source hint prefetched'),
  'cp.async.commit_group': warp('', 0),
  'cp.async.wait_group': warp('i', 0),
  'cp.async.wait_all': warp('', 0),
  // Matrices.
  ldmatrix: warp('d m', 1, 'sync aligned shape count trans space'),
  stmatrix: warp('m r', 1, 'sync aligned shape count trans space'),
  mma: warp('d r r r', 4, 'sync aligned shape layoutA layoutB sat'),
  'wmma.load.a': warp('d m r?', 1, 'sync aligned layoutA fragment space'),
  'wmma.load.b': warp('d m r?', 1, 'sync aligned layoutA fragment space'),
  'wmma.load.c': warp('d m r?', 1, 'sync aligned layoutA fragment space'),
  'wmma.store.d': warp('m r r?', 1, 'sync aligned layoutA fragment space'),
  'wmma.mma': warp('d r r r', [2, 4], 'sync aligned layoutA layoutB fragment rounding sat'),
  // Barriers in shared memory, which count arrivals and bytes.
  'mbarrier.init': warp('m r', 1, 'space'),
  'mbarrier.inval': warp('m', 1, 'space'),
  'mbarrier.expect_tx': warp('m r', 1, 'order scope space'),
  'mbarrier.complete_tx': warp('m r', 1, 'order scope space'),
  'mbarrier.arrive': warp('d m r?', 1, 'expectTx noComplete order scope space'),
  'mbarrier.arrive_drop': warp('d m r?', 1, 'expectTx noComplete order scope space'),
  'mbarrier.test_wait': warp('p m r', 1, 'parity order scope space'),
  'mbarrier.try_wait': warp('p m r r?', 1, 'parity order scope space'),
  'cp.async.mbarrier.arrive': warp('m', 1, 'noInc space'),
  // Copies of tensors and of bytes by the unit beside (TMA).
  'cp.async.bulk': warp('m m r m? r? r?', 0, 'space source completion multicast hint'),
  'cp.async.bulk.tensor': warp('m m m? r? r?', 0, 'dimension space source tile completion multicast hint'),
  'cp.reduce.async.bulk': warp('m m r r?', 1, 'space source completion hint operation noftz'),
  'cp.reduce.async.bulk.tensor': warp('m m r?', 0, 'dimension space source tile completion hint operation'),
  'cp.async.bulk.commit_group': warp('', 0),
  'cp.async.bulk.wait_group': warp('i', 0, 'read'),
  // Products of four warps.
  'wgmma.mma_async': warp('u r r r r? r? r? r?', 3, 'sync aligned shapeOfGroup'),
  'wgmma.fence': warp('', 0, 'sync aligned'),
  'wgmma.commit_group': warp('', 0, 'sync aligned'),
  'wgmma.wait_group': warp('i', 0, 'sync aligned'),
  setmaxnreg: warp('i', 1, 'change sync aligned'),
  // Clusters of blocks.
  'barrier.cluster.arrive': warp('', 0, 'order aligned'),
  'barrier.cluster.wait': warp('', 0, 'order aligned'),
  'fence.proxy': warp('', 0, 'proxy space'),
  // Control.
  bra: control('n', 'uni'),
  ret: control('', 'uni'),
  exit: control(''),
  trap: control(''),
  brkpt: control(''),
  call: control('a n a n', 'uni'),
  'brx.idx': control('r n', 'uni'),
  // About speed, or about an order that is kept anyway.
  nanosleep: nothing('r'),
  membar: nothing('', 'scope'),
  fence: nothing('', 'order scope'),
  'fence.mbarrier_init': nothing('', 'order scope'),
  'prefetch.tensormap': nothing('m'),
  'griddepcontrol.wait': nothing(''),
  'griddepcontrol.launch_dependents': nothing(''),
  prefetch: nothing('m', 'space level'),
  prefetchu: nothing('m', 'level'),
  pmevent: nothing('i'),
  applypriority: nothing('m i', 'space primary'),
} as const satisfies Record<string, InstructionFacts>;

export type OpName = keyof typeof table;
export const ptxInstructions: { readonly [N in OpName]: InstructionFacts } = table;

export type OpOfUnit<U extends Unit> = {
  [N in OpName]: (typeof table)[N] extends InstructionFacts<U> ? N : never;
}[OpName];

export function isOfUnit<U extends Unit>(op: OpName, unit: U): op is OpOfUnit<U> {
  return table[op].unit === unit;
}

/** The instruction of an opcode, which is the longest name that its words begin with, and the words left. */
export function splitOpcode(
  text: string,
): { readonly op: OpName; readonly rest: readonly string[] } | undefined {
  // `barrier.cta` is a barrier of the block, as all are that are not of the cluster.
  const parts = text.replace(/^(bar|barrier)\.cta\./, '$1.').split('.');
  for (let count = Math.min(parts.length, 5); count > 0; count--) {
    const name = parts.slice(0, count).join('.');
    if (Object.hasOwn(table, name)) return { op: name as OpName, rest: parts.slice(count) };
  }
  return undefined;
}
