// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of what writes PTX, by file: every file has one. The emulator notices them. */
import { type ByFile, faultsOf } from './kernels.ts';
import { inFile } from './mutant.ts';

export const ptxMutants: ByFile = faultsOf(
  'backends/cuda-ptx/emit',
  {
    'accumulation.ts': [
      [
        'takes one factor twice',
        'const factors = product.operands as Factors;',
        'const factors = [product.operands[0]!, product.operands[0]!] as Factors;',
        'contractions.ricci: transposed_right M=2,K=64,N=70',
      ],
    ],
    'boxed-stores.ts': [
      [
        'writes over what has not left yet',
        "  writer.effect('cp.async.bulk.wait_group.read 0;', isLeader);\n  meet();",
        '  meet();',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'writes before its leader has waited',
        "  writer.effect('cp.async.bulk.wait_group.read 0;', isLeader);\n  meet();",
        "  writer.effect('cp.async.bulk.wait_group.read 0;', isLeader);",
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'does not show what leaves',
        '  showToProducts(emission);\n',
        '',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'lets leave what not all have written',
        '  meet();\n  writer.when(isLeader',
        '  writer.when(isLeader',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'leaves from the place of another block of rows',
        "literal(groupRows, 'i32'),",
        "literal(2 * groupRows, 'i32'),",
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'takes columns for those beside them',
        "literal(8, 'u32'), literal(column, 'u32')",
        "literal(0, 'u32'), literal(column, 'u32')",
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'ends before all has left',
        "emission.writer.effect('cp.async.bulk.wait_group.read 0;', leads(emission));",
        '',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
    ],
    'emit.ts': [
      [
        'takes the grid in the other order',
        'special(writer, `ctaid.${dimensions[extents.length - 1 - axis]!}`)',
        'special(writer, `ctaid.${dimensions[axis]!}`)',
        'contractions.ricci: matmul M=37,K=19,N=70',
      ],
      [
        'waits for nobody',
        "specialised === undefined ? 'bar.sync 0;'",
        "specialised === undefined ? ''",
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'emission.ts': [
      [
        'deals rows out over columns',
        'sharersOf(over, program',
        "sharersOf(over === 'rows' ? 'columns' : over, program",
        'contractions.ricci: matmul M=8,K=4,N=12',
      ],
    ],
    'expressions.ts': [
      [
        'takes neighbours to be the same',
        'linearConstant(lane * stride)',
        'linearConstant(0 * stride)',
        'indexing.ricci: merge',
        'indexing.ricci: split_and_merge',
        'order.ricci: best_with_ties',
      ],
    ],
    'functions.ts': [
      [
        'swaps the branches of a choice',
        '[yes!, no!, condition!]);',
        '[no!, yes!, condition!]);',
        'pointwise.ricci: choice N=5',
      ],
      [
        'rounds quotients towards zero',
        "run('sub.s32', quotient, literal(1, 'i32'))",
        "run('sub.s32', quotient, literal(0, 'i32'))",
        'pointwise.ricci: negative_divisors N=20',
      ],
      ['forgets NaN in a maximum', "f32: 'max.NaN.f32'", "f32: 'max.f32'", 'pointwise.ricci: no_numbers N=8'],
    ],
    'memory.ts': [
      [
        'reads what is behind the end',
        "literal(buffer.count - width, 'u32')",
        "literal(buffer.count, 'u32')",
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
      [
        'stores what is masked',
        '[0, 1, 2, 3].map((lane) => laneOf(values, lane));',
        '[0, 1, 2, 3].map((lane) => laneOf(values, lane));\n  mask = undefined;',
        'pointwise.ricci: arithmetic N=301',
      ],
      [
        'counts bytes as elements',
        'displacement: sum.constant * bytes',
        'displacement: sum.constant',
        'contractions.ricci: matmul M=37,K=19,N=23',
        'indexing.ricci: reversed N=9',
        'reductions.ricci: rows N=7,M=37',
      ],
      [
        'takes an unaligned vector for an aligned one',
        'divisorOf(offset, point.domain) % 4 === 0',
        'divisorOf(offset, point.domain) % 2 === 0',
        'indexing.ricci: diagonal N=8',
        'contractions.ricci: matmul M=37,K=18,N=22',
      ],
      [
        'takes the lower half of eight for the upper',
        'words.slice(half * bytes, (half + 1) * bytes)',
        'words.slice(0, bytes)',
        'indexing.ricci: transposed_halves N=72,M=136',
      ],
    ],
    'multiply-accumulate.ts': [
      [
        'takes the element of another step',
        'registerAt(left!, [m, k])',
        'registerAt(left!, [m, 0])',
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'narrow.ts': [
      [
        'packs halves in the other order',
        '[values[at + 1]!, values[at]!]',
        '[values[at]!, values[at + 1]!]',
        'pointwise.ricci: narrow N=300',
      ],
    ],
    'packed-layout.ts': [
      [
        'leaves out what a row turns its pieces by, where they are read',
        "writer.operation('xor.b32', 'u32', [piece, turn])",
        "(width === 8 ? piece : writer.operation('xor.b32', 'u32', [piece, turn]))",
        'units.ricci: of_eight_bits M=16,K=64,N=16',
      ],
    ],
    'packed-tiles.ts': [
      [
        'looks up behind the last run',
        'copiers, looksUp)',
        'copiers, false)',
        'units.ricci: looked_up M=32,K=16,N=40,V=5',
      ],
      [
        'reads behind the last run',
        'everyone(emission), true)',
        'everyone(emission), false)',
        'units.ricci: of_eight_bits M=64,K=16,N=16, sm_90a',
      ],
      [
        'copies what the mask leaves out',
        "[literal(bytes, 'u32'), literal(0, 'u32'), kept]",
        "[literal(bytes, 'u32'), literal(bytes, 'u32'), kept]",
        'units.ricci: wide_result M=40,K=40,N=24',
      ],
      [
        'takes runs of eight for those of four',
        'divisorOf(load.offset, domain) % each === 0',
        'divisorOf(load.offset, domain) % 4 === 0',
        'units.ricci: plain M=40,K=36,N=44',
      ],
    ],
    'paired-stores.ts': [
      [
        'stores the second of two first',
        '[low!, high!]',
        '[high!, low!]',
        'units.ricci: wide_result M=72,K=72,N=72, sm_90a, units warpRows=4 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
    ],
    'pipeline.ts': [
      [
        'does not wait for its copies',
        'cp.async.wait_group ${ahead - 1};',
        'cp.async.wait_group ${ahead};',
        'units.ricci: plain M=16,K=160,N=16',
      ],
      [
        'does not wait for the others',
        '    emission.synchronize();\n',
        '',
        'units.ricci: plain M=64,K=160,N=64',
      ],
      [
        'brings into the stage in use',
        "writer.variable(literal(ahead * bytes, 'u32'))",
        "writer.variable(literal(0, 'u32'))",
        'units.ricci: plain M=16,K=640,N=16',
      ],
      [
        'reads for steps that are none',
        'emission.ahead = variable;',
        'emission.ahead = undefined;',
        'units.ricci: experts_of_eight_bits T=40,D=128,E=3,F=64',
      ],
    ],
    'scan-tiles.ts': [
      [
        'takes every other step',
        'width < lanes; width *= 2',
        'width < lanes; width *= 4',
        'order.ricci: sums_so_far N=2,M=70',
      ],
      [
        'reads what warps have before it is there',
        'barrier(emission);\n  return exclusive',
        'return exclusive',
        'order.ricci: sums_so_far N=2,M=1030',
      ],
    ],
    'reduce-tiles.ts': [
      [
        'reads partial sums before they are there',
        'linearConstant(at * warps)), own, isFirst);\n    barrier(emission);',
        'linearConstant(at * warps)), own, isFirst);',
        'reductions.ricci: rows N=7,M=640',
      ],
      [
        'takes what warps have of the first of its results for all',
        'plus(times(row, count), linearConstant(at * warps))',
        'plus(times(row, count), linearConstant(0))',
        'contractions.ricci: transposed_right M=2,K=264,N=70',
      ],
      [
        'takes the maximum that warps have of another row',
        'readScratch(emission, arrays, own, plus(placeOf(at), linearConstant(other)))',
        'readScratch(emission, arrays, own, plus(placeOf(0), linearConstant(other)))',
        'units.ricci: next_words T=24,D=16,V=1101, sm_80, units warpRows=1 warpColumns=2 rows=32 columns=32 depth=16 stages=2',
      ],
      [
        'reads what warps have of a row before it is there',
        'plus(placeOf(at), warp), own, isFirst);\n  barrier(emission);',
        'plus(placeOf(at), warp), own, isFirst);',
        'units.ricci: next_words T=24,D=16,V=1101, sm_80, units warpRows=1 warpColumns=2 rows=32 columns=32 depth=16 stages=2',
      ],
      [
        'leaves out the neighbour of a lane',
        'return bits.reduce<Entry<Own>>',
        'return bits.slice(1).reduce<Entry<Own>>',
        'reductions.ricci: rows N=7,M=40',
      ],
    ],
    'register-tiles.ts': [
      [
        'leaves out what some element of a warp needs',
        'vote.sync.any.pred',
        'vote.sync.all.pred',
        'unit-attention.ricci: steep S=70,U=130,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'starts all blocks at the first of an axis',
        'return plus(times(index, axis.block), linearConstant(place));',
        'return linearConstant(place);',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'row-stores.ts': [
      [
        'stores what other lanes have not put there',
        '      meet();\n      storeRows(',
        '      storeRows(',
        'units.ricci: experts_rounded T=70,D=72,E=3,F=136, sm_90a, units warpRows=4 warpColumns=1 rows=32 columns=64 depth=64 stages=2',
      ],
      [
        'puts the next columns where others are read',
        '      meet();\n      for (let column',
        '      for (let column',
        'units.ricci: experts_rounded T=70,D=72,E=3,F=136, sm_90a, units warpRows=4 warpColumns=1 rows=32 columns=64 depth=64 stages=2',
      ],
      [
        'stores the first block of rows again',
        'linearConstant(block * warps * warpRows)',
        'linearConstant(0)',
        'units.ricci: experts_rounded T=70,D=72,E=3,F=136, sm_90a, units warpRows=4 warpColumns=1 rows=32 columns=64 depth=64 stages=2',
      ],
    ],
    'scalar-operations.ts': [
      [
        'swaps the branches of a choice',
        '[asBits(yes), asBits(no), condition]',
        '[asBits(no), asBits(yes), condition]',
        'pointwise.ricci: large_angles N=20',
      ],
    ],
    'shared-memory.ts': [
      [
        'counts bytes as words',
        'shared.start(name) + place.constant * wordBytes',
        'shared.start(name) + place.constant',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'shared-places.ts': [
      [
        'puts results where factors still are',
        'from <= wanted.to && wanted.from <= to',
        'from < wanted.to && wanted.from < to && wanted.from < from',
        'units.ricci: plain M=64,K=160,N=64',
      ],
    ],
    'shared-tiles.ts': [
      [
        'takes the place of one for that of four',
        'axis === last ? domain.width : 1)',
        'axis === last ? 1 : 1)',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'products.ts': [
      [
        'knows of the first two alone',
        "statement.kind === 'multiplyAccumulate')",
        "statement.kind === 'multiplyAccumulate').slice(0, 2)",
        'unit-gradient.ricci: causal_gradient S=150,G=1,R=1,A=64,B=64, sm_90a, unitChain warps=4 rows=16 block=32 stages=2',
      ],
    ],
    'consumer.ts': [
      [
        'tells that a stage is empty while it is used',
        'tell(emission, arrival, before, isBelow(emission, begin, counter));',
        'tell(emission, arrival, turn.stage, isBelow(emission, begin, counter));',
        'units.ricci: wide_result M=128,K=320,N=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
      [
        'tells that a stage is empty when one product of it has begun',
        '=== readers.get(arrival)!.at(-1)',
        '!== readers.get(arrival)!.at(-1)',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'reads values that have not arrived',
        'reader === statement && reader !== earliest',
        'false',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'keeps the last stage of a tile',
        'tell(emission, arrival, before, isBelow(emission, begin, end));',
        '',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'goes on once for each of those that arrive together',
        'for (const turn of new Set(taken.map((each) => each.turn)))',
        'for (const { turn } of taken)',
        'unit-gradient.ricci: causal_gradient S=150,G=1,R=1,A=64,B=64, sm_90a, unitChain warps=4 rows=16 block=32 stages=3',
      ],
    ],
    'producer.ts': [
      [
        'brings into stages that are not empty',
        "const before = writer.operation('xor.b32', 'u32', [turn.parity, literal(1, 'u32')]);",
        'const before = turn.parity;',
        'units.ricci: wide_result M=128,K=320,N=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
      [
        'expects what one tile has',
        'arrival.boxed.reduce((total, { tile }) => total + bytesOfTile(tile), 0)',
        'arrival.boxed.reduce((_, { tile }) => bytesOfTile(tile), 0)',
        'units.ricci: wide_result M=128,K=320,N=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
      [
        'brings its part of what is common to itself',
        '2 ** cluster - 1',
        '1',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'brings the part of another block',
        '[start, outer] = [behind(start, rows * rowBytes), behind(outer!, rows)];',
        'start = behind(start, rows * rowBytes);',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'says that a stage is full before its copies are there',
        'cp.async.mbarrier.arrive.noinc.shared::cta.b64 ${full};',
        'mbarrier.arrive.shared::cta.b64 _, ${full};',
        'units.ricci: experts_of_halves T=140,D=320,E=2,F=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
    ],
    'specialisation.ts': [
      [
        'has each block of a cluster bring all of what is common',
        '(isCommon ? cluster : 1)',
        '1',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'knows of no values that lag',
        'feeds.some((feed) => feed.lags === true)',
        'false',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
    ],
    'stages.ts': [
      [
        'goes on with the first stage',
        "const next = (value: Value): Value => ({ ...value, key: `${value.key}'` });",
        'const next = (value: Value): Value => value;',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'does not take turns',
        'writer.effect(`xor.b32 ${parity.text}, ${parity.text}, 1;`, isLast);',
        '',
        'units.ricci: wide_result M=128,K=320,N=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
      [
        'tells no other block of the cluster that a stage is empty',
        "[unit.lane, literal(cluster, 'u32')]);",
        "[unit.lane, literal(1, 'u32')]);",
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'awaits only the warps of its own block',
        "[arrival, 'empty', (cluster * consumers) / warpSize],",
        "[arrival, 'empty', consumers / warpSize],",
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'begins before the barriers of the other block are there',
        '  else meetInCluster(writer);',
        '',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'shows no product what was gathered',
        "if (kind === 'full' && arrival.gathered.length > 0) showToProducts(emission);",
        '',
        'units.ricci: experts_of_halves T=140,D=320,E=2,F=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
      [
        'counts nobody who gathers',
        '(gathered.length > 0 ? producers : 0)',
        '0',
        'units.ricci: experts_of_halves T=140,D=320,E=2,F=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
    ],
    'specialised.ts': [
      [
        'leaves while the other block tells it of stages',
        '  if (cluster > 1) meetInCluster(writer);',
        '',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'takes values that lag from the stage of those that do not',
        'pipeline.first === undefined ? firstTurn(writer) : undefined',
        'firstTurn(writer)',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
    ],
    'preparation.ts': [
      [
        'does half of what has to be known',
        'for (const each of all) for (const name of tilesUsedBy(each)) names.add(name);',
        '',
        'units.ricci: experts_of_halves T=140,D=320,E=2,F=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
    ],
    'group-order.ts': [
      [
        'lets nobody else go on',
        "'add.u32', 'u32', [group, literal(1, 'u32')]",
        "'add.u32', 'u32', [group, literal(0, 'u32')]",
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=8 rows=16 block=32 stages=2',
      ],
    ],
    'products-in-flight.ts': [
      [
        'waits for no product',
        'wgmma.wait_group.sync.aligned ${inFlight};',
        'wgmma.wait_group.sync.aligned 1;',
        'units.ricci: plain M=64,K=128,N=64, sm_90a, units warpRows=4 warpColumns=1 rows=16 columns=64 depth=64 stages=3',
      ],
      [
        'uses what a product has not made',
        '[...used, ...changed].includes(into)',
        'false',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'changes what a product reads',
        'changed.includes(left) || changed.includes(right)',
        'false',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
    ],
    'exponentials.ts': [
      [
        'forgets the base of exponentials',
        'scale * Math.LOG2E',
        'scale',
        'unit-attention.ricci: causal_groups S=20,G=1,R=1,A=16,B=16',
      ],
    ],
    'statements.ts': [
      [
        'stores behind the end by the first of those that have it',
        "'and', 'bool', [holder, own]",
        "'or', 'bool', [holder, own]",
        'reductions.ricci: rows N=7,M=64',
      ],
      [
        'stores the upper four of eight first',
        '[lower, values], guarded',
        '[values, lower], guarded',
        'indexing.ricci: transposed_halves N=72,M=136',
      ],
    ],
    'sums.ts': [
      [
        'forgets the coefficient of a sum',
        "[value, literal(coefficient, 'i32'), total]",
        "[value, literal(1, 'i32'), total]",
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'tile-elements.ts': [
      [
        'takes the first of four for each',
        'return point.fragment[subscript.axis]! + (isLast ? lane : 0);',
        'return point.fragment[subscript.axis]!;',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
      [
        'takes what the first of four lanes has of eight columns for what others have',
        '${first % warpSize}, ${withinFour}',
        '0, ${withinFour}',
        'unit-gradient.ricci: causal_gradient S=70,G=1,R=1,A=32,B=32, sm_90a, unitChain warps=4 rows=16 block=64 stages=2 columns=lanes',
      ],
      [
        'takes what a lane has first for what it has later',
        'columnsOfLane * round + (at % columnsOfLane)',
        'at % columnsOfLane',
        'unit-gradient.ricci: causal_gradient S=130,G=1,R=1,A=16,B=16, sm_90a, unitChain warps=4 rows=16 block=128 stages=2 columns=lanes',
      ],
    ],
    'turned-layout.ts': [
      [
        'reads the first four of a run for all of it',
        '(behind + lane) * square.rowBytes',
        'lane * square.rowBytes',
        'indexing.ricci: transposed_halves N=72,M=136',
      ],
    ],
    'turned-tiles.ts': [
      [
        'fills a part of a square several times',
        'linearConstant(round * invocations)',
        'linearConstant(0 * round * invocations)',
        'indexing.ricci: transposed_halves N=72,M=136',
      ],
    ],
    'unit-parts.ts': [
      [
        'leaves out what a rounded weight leaves',
        '[left[at], taken[at]]',
        '[left[at], left[at]]',
        'unit-attention.ricci: sliding S=20,G=1,R=1,A=16,B=16',
      ],
    ],
    'unit-products.ts': [
      [
        'swaps the parts of a right factor',
        '    [a!, b!],\n',
        '    [b!, a!],\n',
        'units.ricci: plain M=16,K=40,N=16',
      ],
      [
        'reads columns as rows',
        "isTransposed ? '.trans' : ''",
        "isTransposed ? '' : ''",
        'units.ricci: left_across M=24,K=40,N=24',
      ],
    ],
    'units.ts': [
      [
        'gives all lanes of a row the same columns',
        "times(index('and.b32', 3), 2)",
        "times(index('and.b32', 0), 2)",
        'units.ricci: plain M=16,K=40,N=16',
      ],
    ],
    'values.ts': [
      [
        'takes the first of four for all',
        'return lanes[lane] ?? lanes[0];',
        'return lanes[0];',
        'pointwise.ricci: arithmetic N=300',
      ],
    ],
    'warpgroup-products.ts': [
      [
        'takes the rows of the first warpgroup for all',
        'k, block * groups, warpgroup(emission))',
        'k, block * groups, undefined)',
        'units.ricci: plain M=128,K=64,N=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3',
      ],
      [
        'shows nothing to products',
        "writer.effect('fence.proxy.async.shared::cta;');",
        'writer.comment(``);',
        'units.ricci: of_eight_bits M=64,K=128,N=64, sm_90a, units warpRows=4 warpColumns=1 rows=16 columns=64 depth=64 stages=3',
      ],
      [
        'says another order than that of the tile',
        'const swizzles: { readonly [bytes: number]: number } = { 128: 1, 64: 2, 32: 3 };',
        'const swizzles: { readonly [bytes: number]: number } = { 128: 2, 64: 2, 32: 3 };',
        'units.ricci: plain M=64,K=128,N=64, sm_90a, units warpRows=4 warpColumns=1 rows=16 columns=64 depth=64 stages=3',
      ],
      [
        'takes the first steps of what is in registers again',
        'partsFromRegisters(emission, left, block, k)',
        'partsFromRegisters(emission, left, block, 0)',
        'unit-attention.ricci: sliding S=40,G=1,R=1,A=32,B=64, sm_90a',
      ],
    ],
    'writer.ts': [
      [
        'runs loops without their last step',
        'setp.lt.s32 ${more.text}, ${counter.text}, ${to.text};',
        'setp.lt.s32 ${more.text}, ${counter.text}, ${step};',
        'reductions.ricci: rows N=7,M=40',
        'reductions.ricci: columns N=40,M=7',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
      [
        'takes out of loops what is known in them only',
        'operands.reduce((most, { depth }) => Math.max(most, depth), least)',
        '0',
        'reductions.ricci: columns N=40,M=7',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
  },
  'ptx',
);

/** Of what users allow, which has an oracle of its own: a set of faults for a file with others, or alone. */
export const allowedMutants: ByFile = {
  'unit-types.ts': inFile('backends/cuda-ptx/emit/unit-types.ts', 'allowed', [
    'cuts the last bits of words off',
    "'cvt.rna.tf32.f32', 'u32'",
    "'mov.b32', 'u32'",
    'tf32, sm_80, allowed-units.ricci: of_words M=24,K=40,N=24',
    'tf32, sm_90a, allowed-units.ricci: of_words M=64,K=33,N=64',
  ]),
  'join-sums.ts': inFile('compiler/tiles/join-sums.ts', 'allowed', [
    'leaves out what an inner sum is multiplied with',
    'product([...others, ',
    'product([...others.slice(1), ',
    'f8-sums, sm_90a, allowed-units.ricci: blocks_of_eights M=40,B=3,J=128,N=1',
  ]),
  'eight-bit-product.ts': inFile('compiler/tiles/schedules/eight-bit-product.ts', 'allowed', [
    'takes one scale for several blocks',
    'if (block === 1) return behind;',
    'if (block === 1) return Infinity;',
    'f8-sums, sm_90a, allowed-units.ricci: scaled_eights M=40,B=8,J=32,N=24',
  ]),
  'promoted-sums.ts': inFile('compiler/tiles/schedules/promoted-sums.ts', 'allowed', [
    'adds up all products with few bits',
    'multiplyAccumulate(part, lefts,',
    'multiplyAccumulate(sum, lefts,',
    'f8-sums, sm_90a, allowed-units.ricci: of_eights M=9,K=2112,N=24',
  ]),
  'unit-contraction.ts': inFile(
    'compiler/tiles/schedules/unit-contraction.ts',
    'allowed',
    [
      'takes the first rows of a tile for all',
      'source.flat(sum(within, constant(first)))',
      'source.flat(within)',
      'f8-sums, sm_90a, allowed-units.ricci: of_eights M=256,K=128,N=32, units warpRows=8 warpColumns=1 rows=32 columns=32 depth=128 stages=2',
    ],
    [
      'takes the scales of the first block for all',
      'constant(0), k, of)',
      'constant(0), constant(0), of)',
      'f8-sums, sm_90a, allowed-units.ricci: scaled_eights M=40,B=3,J=128,N=24',
    ],
    [
      'takes the scales of the expert of the first token for all',
      'node.grouped ? ofExpert(eights.right, node.grouped, total) : eights.right',
      'eights.right',
      'f8-sums, sm_90a, allowed-units.ricci: experts_of_eights T=40,E=5,F=3,B=4,J=32',
    ],
  ),
};

/** Of what is done for devices with matrix units before schedules. */
export const unitGraphMutants: ByFile = faultsOf(
  'compiler/tiles',
  {
    'join-maps.ts': [
      [
        'takes what is read elsewhere for what is here',
        'taken.every((load) => isHere(load) && isKept(load))',
        'taken.every(isKept)',
        'pointwise.ricci: turned_around N=4000',
      ],
      [
        'takes what is stored for what is computed',
        "return dtype === 'f32' ? value : { op: 'round', dtype, operand: value };",
        'return value;',
        'pointwise.ricci: rounded_and_used N=4000',
      ],
    ],
    'unroll-loops.ts': [
      [
        'takes the first of some turns for all',
        'at(sum(first, constant(turn * step)))',
        'at(sum(first, constant(0 * step)))',
        'decoding.ricci: inputs_together T=1,D=1040,F=1024',
      ],
      [
        'leaves out what is behind the turns that are together',
        'return whole >= to ?',
        'return whole >= 0 ?',
        'decoding.ricci: inputs_together T=1,D=1300,F=1024',
      ],
    ],
    'fuse-kernels.ts': [
      [
        'takes the sums of two products for one',
        'const isOne = `${from}` === `${other.from}`;',
        'const isOne = true;',
        'decoding.ricci: block S=1,U=3,D=64,G=1,R=1,P=2,F=40',
      ],
    ],
    'store-merged.ts': [
      [
        'takes what is turned to be merged',
        'key(own) === key(wanted[dim]!)',
        'key(own) !== undefined',
        'unit-attention.ricci: turned_heads S=4,G=2,R=2,A=16,B=16',
      ],
      [
        'takes what somebody else reads',
        'readers.get(id)?.length === 1',
        'readers.has(id)',
        'unit-attention.ricci: also_summed S=20,G=2,R=2,A=16,B=16',
      ],
      [
        'leaves sums as they are',
        'substituteLoads(body, () => finish);',
        'finish;',
        'contractions.ricci: merged_scaled M=9,K=8,G=2,R=3',
      ],
      [
        'takes what else differs from place to place',
        '() => float(0))).size === 0',
        '() => float(0))).size >= 0',
        'contractions.ricci: merged_scaled M=9,K=8,G=2,R=3',
      ],
    ],
    'merge-kernels.ts': [
      [
        'leaves to nobody what only an engine brings',
        '!parts.some(({ isAlone }) => isAlone)',
        'parts.length > 0',
        'unit-attention.ricci: and_product S=40,U=70,H=2,A=64,M=40,K=64,N=40, sm_90a',
      ],
    ],
    'product-chains.ts': [
      [
        'does not store what others read',
        'own.length === 0 || !readers.every(isMadeBy)',
        'own.length === 0',
        'unit-gradient.ricci: fading_scores S=70,A=16,B=16',
      ],
    ],
    'store-rounded.ts': [
      [
        'takes what is copied as it is to be rounded',
        "isRounding(node.result.dtype) ? node.result.dtype : 'as it is'",
        "'bf16'",
        'unit-attention.ricci: sliding S=33,G=1,R=2,A=16,B=16',
      ],
      [
        'rounds what some reader takes as it is',
        "only !== 'as it is' && others.length === 0",
        "only !== 'as it is'",
        'units.ricci: rounded_for_one M=24,K=40,N=32',
      ],
      [
        'takes what is not rounded for what is',
        "tell(operand.tensor, scalar.op === 'round' ? scalar.dtype : 'as it is')",
        "tell(operand.tensor, 'bf16')",
        'units.ricci: rounded_for_one M=24,K=40,N=32',
      ],
    ],
  },
  'ptx',
);

/** Of the schedules for matrix units. */
export const unitMutants: ByFile = faultsOf(
  'compiler/tiles/schedules',
  {
    'route-by-picks.ts': [
      [
        'counts a pick before itself',
        "equal(known('picks', at), own), isLess(at, inChunk)",
        "equal(known('picks', at), own), isLess(at, sum(inChunk, constant(1)))",
        'units.ricci: experts_of_halves T=300,D=8,E=3,F=16',
      ],
      [
        'counts a chunk before itself',
        "masked(isLess(at, inChunk), known('row', at)",
        "masked(isLess(at, sum(inChunk, constant(1))), known('row', at)",
        'units.ricci: experts_of_halves T=300,D=8,E=3,F=16',
      ],
      [
        'leaves out the experts before',
        "update('parts', sum(element('parts', 'i32', [constant(0), across]), earlier))",
        "update('parts', earlier)",
        'units.ricci: experts_of_halves T=300,D=8,E=700,F=16',
      ],
    ],
    'accumulate.ts': [
      [
        'counts what is behind the end of a row that is met in one step',
        'const mask = extent === width ? undefined : below(index, constant(extent));',
        'const mask = undefined;',
        'reductions.ricci: rows N=7,M=36',
      ],
    ],
    'load-ahead.ts': [
      [
        'reads in the place of a reduction',
        '...defined, ...body.slice(first)',
        '...defined, ...body.slice(first + 1)',
        'rows.ricci: narrow_norms B=2,T=3,D=136',
      ],
    ],
    'turned-map.ts': [
      [
        'takes the first of a batch for all',
        'rest[others.indexOf(group)]!',
        'constant(0)',
        'indexing.ricci: batched_transposed B=3,N=16,M=24',
      ],
      [
        'stores what is behind the last row',
        'both(below(row, constant(rows.extent)), below(column, constant(columns.extent)))',
        'below(column, constant(columns.extent))',
        'indexing.ricci: transpose N=40,M=72',
      ],
    ],
    'contraction-problem.ts': [
      [
        'leaves out all rows but those of the first axis',
        'rows: classOf(contraction.rows),',
        'rows: classOf(contraction.rows.slice(0, 1)),',
        'units.ricci: hidden_words B=2,T=5,D=24,V=1032',
      ],
    ],
    'in-parts.ts': [
      [
        'takes the largest part of a number twice',
        "apply('select', isAt(1), middle, high)",
        'high',
        'units.ricci: wide_left M=24,K=40,N=24, sm_80, units warpRows=1 warpColumns=1 rows=16 columns=16 depth=16 stages=2',
      ],
    ],
    'unit-boxes.ts': [
      [
        'brings the first part of a number for all',
        'part: quotient(start.reduced, ofPart),',
        'part: constant(0),',
        'units.ricci: wide_left M=64,K=64,N=72, sm_90a, units warpRows=4 warpColumns=1 rows=16 columns=64 depth=32 stages=2',
      ],
      [
        'begins at the first of all columns',
        'starts[name] ?? constant(0)',
        "starts[name === 'columns' ? 'batch' : name] ?? constant(0)",
        'units.ricci: wide_result M=128,K=128,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
      [
        'brings the weights of the first expert',
        'starts[name] ?? constant(0)',
        "starts[name === 'expert' ? 'batch' : name] ?? constant(0)",
        'units.ricci: experts_of_halves T=140,D=320,E=2,F=64, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2',
      ],
    ],
    'unit-contraction.ts': [
      [
        'multiplies what is behind the last step',
        'masked(below(along, constant(reduced.extent)),',
        'masked(below(along, constant(reduced.extent + 1)),',
        'units.ricci: wide_result M=24,K=33,N=24',
      ],
      [
        'stores columns that are none',
        '              below(columnAt(column), constant(columns.extent)),\n',
        '              undefined,\n',
        'units.ricci: plain M=20,K=40,N=44',
      ],
      [
        'counts columns that are none into the sums of a row',
        'isColumn: below(columnAt(column), constant(columns.extent))',
        'isColumn: undefined',
        'units.ricci: next_words T=24,D=16,V=1101',
      ],
      [
        'takes rows for what is reduced',
        "'rights', rightOrder, leftOrder)",
        "'rights', rightOrder)",
        'units.ricci: left_across M=24,K=40,N=24',
      ],
    ],
    'unit-softmax-factors.ts': [
      [
        'forgets what scores are multiplied with',
        "apply('mul', score, factor), part)",
        'score, part)',
        'unit-attention.ricci: heads_first H=1,S=20,A=16,B=16',
      ],
    ],
    'unit-softmax-boxes.ts': [
      [
        'takes runs of rows for rows of one run',
        'return isWhole ? { ...found, rowsOfSecond: innerExtent } : found;',
        'return found;',
        'unit-attention.ricci: causal_groups S=70,G=2,R=4,A=64,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'begins at the first row of a run',
        'isWhole ? constant(0) : remainder(rows, innerExtent)',
        'constant(0)',
        'unit-attention.ricci: heads_outside S=128,G=1,R=2,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'brings the first block again',
        "side('u', node.extent, start)",
        "side('u', node.extent, none)",
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
      [
        'takes apart what is run through as one',
        'side(`batch${at}`, extent, along[at]!)',
        'side(`batch${at}`, extent / 2, along[at]!)',
        'unit-attention.ricci: batches B=2,H=2,S=40,A=64, sm_90a',
      ],
    ],
    'unit-stream.ts': [
      [
        'masks no block that some row sees the first of',
        'below(sum(start, constant(block - 1)), minimum(common.to, end))',
        'below(start, minimum(common.to, end))',
        'unit-attention.ricci: causal_groups S=20,G=1,R=1,A=16,B=16',
      ],
    ],
    'chain-problem.ts': [
      [
        'takes what is multiplied first for what is multiplied last',
        'link.depth === outer[axis] && scalarKey(turned) === key',
        'link.depth === outer[axis]',
        'unit-gradient.ricci: causal_gradient S=70,G=1,R=1,A=32,B=32',
      ],
      [
        'takes the condition for its opposite',
        '? part.operands[1]!',
        '? part.operands[2]!',
        'unit-gradient.ricci: causal_gradient S=70,G=1,R=1,A=32,B=32',
      ],
    ],
    'unit-chain.ts': [
      [
        'counts what is hidden',
        'masked(mask, ofPair(link), zero)',
        'ofPair(link)',
        'unit-gradient.ricci: causal_gradient S=70,G=1,R=1,A=32,B=32',
      ],
      [
        'goes through one of several heads',
        'to: constant(turns.extent)',
        'to: constant(1)',
        'unit-gradient.ricci: causal_gradient S=70,G=1,R=2,A=32,B=32',
      ],
      [
        'has all lanes load the first column',
        'const alone = { u: sum(start, coordinate(0, block)), turn };',
        'const alone = { u: start, turn };',
        'unit-gradient.ricci: causal_gradient S=70,G=1,R=1,A=32,B=32, sm_80, unitChain warps=4 rows=16 block=64 stages=2 columns=lanes',
      ],
    ],
    'unit-chain-boxes.ts': [
      [
        'brings the first head again',
        'turns.iterators(turn)',
        'turns.iterators(none)',
        'unit-gradient.ricci: causal_gradient S=90,G=1,R=2,A=64,B=64, sm_90a, unitChain warps=4 rows=16 block=32 stages=2',
      ],
    ],
    'unit-stream-walk.ts': [
      [
        'begins behind the last rows',
        'difference(constant(groups.rows - 1), own)',
        'difference(constant(groups.rows), own)',
        'unit-attention.ricci: causal_groups S=150,G=1,R=1,A=32,B=64, sm_90a, unitStream warps=4 rows=16 block=32 stages=2',
      ],
    ],
    'unit-softmax-sum.ts': [
      [
        'does not make smaller what came before',
        "coordinate(1, components)]), ofRow('keep'))",
        "coordinate(1, components)]), constant(1, 'f32'))",
        'unit-attention.ricci: full_halves S=16,U=80,H=1,A=16,B=16',
      ],
      [
        'keeps the largest logit that it saw first',
        "apply('select', 'f32', farther, ofRow('block_top'), ofRow('so_far'))",
        "ofRow('so_far')",
        'unit-attention.ricci: steep S=20,U=80,A=16,B=16',
      ],
      [
        'weighs what is hidden from a row that sees nothing',
        "masked(mask, ofPair('weight'), zero)",
        "ofPair('weight')",
        'unit-attention.ricci: blind_across S=7,U=260,A=16,B=13',
      ],
      [
        'gives totals of parts that are larger than its sums',
        "unscaled(ofRow('total'))",
        "ofRow('total')",
        'unit-attention.ricci: full_halves S=7,U=260,H=1,A=16,B=16',
      ],
      [
        'stores rows that are none',
        'both(isRow(row), below(value',
        'both(undefined, below(value',
        'unit-attention.ricci: full_halves S=20,U=40,H=1,A=16,B=16',
      ],
    ],
    'unit-walk.ts': [
      [
        'goes on to the tile after its own',
        'step: processors }',
        'step: 1 }',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
      [
        'goes through rows twice',
        'remainder(within, together)',
        'remainder(within, 1)',
        'units.ricci: plain M=200,K=200,N=136, sm_90a, units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2, 2 processors',
      ],
    ],
    'visible-bound.ts': [
      [
        'begins where the last row does',
        '{ begin: first, end: last }',
        '{ begin: last, end: last }',
        'unit-attention.ricci: sliding S=130,G=1,R=1,A=16,B=16',
      ],
    ],
    'unit-factors.ts': [
      [
        'takes numbers of 32 bits for numbers of 16',
        'f32: undefined,',
        "f32: 'bf16',",
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
  },
  'ptx',
);

/** Of what runs packages of PTX. */
export const cudaMutants: ByFile = faultsOf(
  'runtime/cuda',
  {
    'devices.ts': [
      [
        'gives every step of a loop the number of the first',
        '[...launch.counters, ',
        '[...launch.counters.map(() => 0), ',
        'loops.ricci: counted N=5',
      ],
      [
        'collects all steps where the first is',
        'BigInt(launch.toByte)',
        'BigInt(0 * launch.toByte)',
        'loops.ricci: collected L=4,D=3',
      ],
    ],
  },
  'ptx',
);

export const withoutPtxFaults: { readonly [file: string]: string } = {
  'kernel.ts': 'has types only',
  'residency.ts': 'says how many registers there may be, and changes nothing of what kernels do',
  'source-lines.ts': 'says where kernels are from, and changes nothing of what they do',
};
