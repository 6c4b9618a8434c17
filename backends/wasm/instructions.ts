/** The instructions of WebAssembly that kernels use: opcodes, types and immediates, as one table. */

export type ValueType = 'i32' | 'f32' | 'v128';

/** What stands behind the opcode: an alignment and a constant offset, a lane, or both. */
type Immediate = 'none' | 'memory' | 'lane' | 'memoryLane';

interface InstructionFacts {
  readonly opcode: readonly number[];
  readonly operands: readonly ValueType[];
  readonly result: ValueType | undefined;
  readonly immediate: Immediate;
  /** Of an access to memory: log2 of its bytes, the alignment that is promised at most. */
  readonly alignment: number;
}

const types: { readonly [letter: string]: ValueType } = { i: 'i32', f: 'f32', v: 'v128' };

/** @param signature operands and result by their letters: `vf:v` */
function instruction(
  opcode: readonly number[],
  signature: string,
  immediate: Immediate = 'none',
  alignment = 0,
): InstructionFacts {
  const [operands = '', result = ''] = signature.split(':');
  return {
    opcode,
    operands: [...operands].map((letter) => types[letter]!),
    result: types[result],
    immediate,
    alignment,
  };
}

const plain = (code: number, signature: string) => instruction([code], signature);
/** Saturating conversions have a prefix. */
const prefixed = (code: number, signature: string) => instruction([0xfc, code], signature);
const vector = (code: number, signature: string) => instruction([0xfd, ...unsigned(code)], signature);
const lane = (code: number, signature: string) => instruction([0xfd, ...unsigned(code)], signature, 'lane');
const access = (code: number, signature: string, alignment: number) =>
  instruction([code], signature, 'memory', alignment);
const vectorAccess = (code: number, signature: string, alignment: number) =>
  instruction([0xfd, ...unsigned(code)], signature, 'memory', alignment);
const laneAccess = (code: number, signature: string, alignment: number) =>
  instruction([0xfd, ...unsigned(code)], signature, 'memoryLane', alignment);

/** LEB128, unsigned. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return bytes;
}

const table = {
  select: plain(0x1b, 'iii:i'),
  'f32.select': plain(0x1b, 'ffi:f'),
  'i32.load': access(0x28, 'i:i', 2),
  'f32.load': access(0x2a, 'i:f', 2),
  'i32.load8_s': access(0x2c, 'i:i', 0),
  'i32.load8_u': access(0x2d, 'i:i', 0),
  'i32.load16_u': access(0x2f, 'i:i', 1),
  'i32.store': access(0x36, 'ii:', 2),
  'f32.store': access(0x38, 'if:', 2),
  'i32.store8': access(0x3a, 'ii:', 0),
  'i32.store16': access(0x3b, 'ii:', 1),
  'i32.eqz': plain(0x45, 'i:i'),
  'i32.eq': plain(0x46, 'ii:i'),
  'i32.ne': plain(0x47, 'ii:i'),
  'i32.lt_s': plain(0x48, 'ii:i'),
  'i32.lt_u': plain(0x49, 'ii:i'),
  'i32.gt_s': plain(0x4a, 'ii:i'),
  'i32.gt_u': plain(0x4b, 'ii:i'),
  'i32.le_s': plain(0x4c, 'ii:i'),
  'i32.le_u': plain(0x4d, 'ii:i'),
  'f32.eq': plain(0x5b, 'ff:i'),
  'f32.ne': plain(0x5c, 'ff:i'),
  'f32.lt': plain(0x5d, 'ff:i'),
  'f32.le': plain(0x5f, 'ff:i'),
  'i32.add': plain(0x6a, 'ii:i'),
  'i32.sub': plain(0x6b, 'ii:i'),
  'i32.mul': plain(0x6c, 'ii:i'),
  'i32.div_s': plain(0x6d, 'ii:i'),
  'i32.div_u': plain(0x6e, 'ii:i'),
  'i32.rem_s': plain(0x6f, 'ii:i'),
  'i32.rem_u': plain(0x70, 'ii:i'),
  'i32.and': plain(0x71, 'ii:i'),
  'i32.or': plain(0x72, 'ii:i'),
  'i32.xor': plain(0x73, 'ii:i'),
  'i32.shl': plain(0x74, 'ii:i'),
  'i32.shr_s': plain(0x75, 'ii:i'),
  'i32.shr_u': plain(0x76, 'ii:i'),
  'i32.rotl': plain(0x77, 'ii:i'),
  'f32.abs': plain(0x8b, 'f:f'),
  'f32.neg': plain(0x8c, 'f:f'),
  'f32.ceil': plain(0x8d, 'f:f'),
  'f32.floor': plain(0x8e, 'f:f'),
  'f32.nearest': plain(0x90, 'f:f'),
  'f32.sqrt': plain(0x91, 'f:f'),
  'f32.add': plain(0x92, 'ff:f'),
  'f32.sub': plain(0x93, 'ff:f'),
  'f32.mul': plain(0x94, 'ff:f'),
  'f32.div': plain(0x95, 'ff:f'),
  'f32.min': plain(0x96, 'ff:f'),
  'f32.max': plain(0x97, 'ff:f'),
  'f32.convert_i32_s': plain(0xb2, 'i:f'),
  'f32.convert_i32_u': plain(0xb3, 'i:f'),
  'i32.reinterpret_f32': plain(0xbc, 'f:i'),
  'f32.reinterpret_i32': plain(0xbe, 'i:f'),
  'i32.trunc_sat_f32_s': prefixed(0, 'f:i'),
  'i32.trunc_sat_f32_u': prefixed(1, 'f:i'),
  'v128.load': vectorAccess(0, 'i:v', 4),
  'v128.load16x4_u': vectorAccess(4, 'i:v', 3),
  'v128.load32_splat': vectorAccess(9, 'i:v', 2),
  'v128.load32_zero': vectorAccess(92, 'i:v', 2),
  'v128.store': vectorAccess(11, 'iv:', 4),
  'v128.load32_lane': laneAccess(86, 'iv:v', 2),
  'v128.store8_lane': laneAccess(88, 'iv:', 0),
  'v128.store16_lane': laneAccess(89, 'iv:', 1),
  'v128.store32_lane': laneAccess(90, 'iv:', 2),
  'v128.store64_lane': laneAccess(91, 'iv:', 3),
  'i32x4.splat': vector(17, 'i:v'),
  'f32x4.splat': vector(19, 'f:v'),
  'i32x4.extract_lane': lane(27, 'v:i'),
  'i32x4.replace_lane': lane(28, 'vi:v'),
  'f32x4.extract_lane': lane(31, 'v:f'),
  'f32x4.replace_lane': lane(32, 'vf:v'),
  'i32x4.eq': vector(55, 'vv:v'),
  'i32x4.ne': vector(56, 'vv:v'),
  'i32x4.lt_s': vector(57, 'vv:v'),
  'i32x4.lt_u': vector(58, 'vv:v'),
  'i32x4.gt_s': vector(59, 'vv:v'),
  'i32x4.gt_u': vector(60, 'vv:v'),
  'i32x4.le_s': vector(61, 'vv:v'),
  'i32x4.le_u': vector(62, 'vv:v'),
  'f32x4.eq': vector(65, 'vv:v'),
  'f32x4.ne': vector(66, 'vv:v'),
  'f32x4.lt': vector(67, 'vv:v'),
  'f32x4.le': vector(69, 'vv:v'),
  'v128.not': vector(77, 'v:v'),
  'v128.and': vector(78, 'vv:v'),
  'v128.andnot': vector(79, 'vv:v'),
  'v128.or': vector(80, 'vv:v'),
  'v128.xor': vector(81, 'vv:v'),
  'v128.bitselect': vector(82, 'vvv:v'),
  'i8x16.narrow_i16x8_u': vector(102, 'vv:v'),
  'f32x4.ceil': vector(103, 'v:v'),
  'f32x4.floor': vector(104, 'v:v'),
  'f32x4.nearest': vector(106, 'v:v'),
  'i16x8.narrow_i32x4_u': vector(134, 'vv:v'),
  'i16x8.extend_low_i8x16_s': vector(135, 'v:v'),
  'i16x8.extend_low_i8x16_u': vector(137, 'v:v'),
  'i32x4.abs': vector(160, 'v:v'),
  'i32x4.neg': vector(161, 'v:v'),
  'i32x4.extend_low_i16x8_s': vector(167, 'v:v'),
  'i32x4.extend_low_i16x8_u': vector(169, 'v:v'),
  'i32x4.shl': vector(171, 'vi:v'),
  'i32x4.shr_s': vector(172, 'vi:v'),
  'i32x4.shr_u': vector(173, 'vi:v'),
  'i32x4.add': vector(174, 'vv:v'),
  'i32x4.sub': vector(177, 'vv:v'),
  'i32x4.mul': vector(181, 'vv:v'),
  'i32x4.min_s': vector(182, 'vv:v'),
  'i32x4.min_u': vector(183, 'vv:v'),
  'i32x4.max_s': vector(184, 'vv:v'),
  'i32x4.max_u': vector(185, 'vv:v'),
  'f32x4.abs': vector(224, 'v:v'),
  'f32x4.neg': vector(225, 'v:v'),
  'f32x4.sqrt': vector(227, 'v:v'),
  'f32x4.add': vector(228, 'vv:v'),
  'f32x4.sub': vector(229, 'vv:v'),
  'f32x4.mul': vector(230, 'vv:v'),
  'f32x4.div': vector(231, 'vv:v'),
  'f32x4.min': vector(232, 'vv:v'),
  'f32x4.max': vector(233, 'vv:v'),
  // The first where neither is less, as where one is NaN.
  'f32x4.pmin': vector(234, 'vv:v'),
  'f32x4.pmax': vector(235, 'vv:v'),
  'i32x4.trunc_sat_f32x4_s': vector(248, 'v:v'),
  'i32x4.trunc_sat_f32x4_u': vector(249, 'v:v'),
  'f32x4.convert_i32x4_s': vector(250, 'v:v'),
  'f32x4.convert_i32x4_u': vector(251, 'v:v'),
  // Of relaxed SIMD: a · b + c, rounded once or twice, as the processor does it.
  'f32x4.relaxed_madd': vector(261, 'vvv:v'),
} as const satisfies Record<string, InstructionFacts>;

export type InstructionName = keyof typeof table;
export const instructions: { readonly [I in InstructionName]: InstructionFacts } = table;
