/**
 * Kernels whose warps have different work, on Hopper: a warpgroup of its own brings the tiles of a pipeline,
 * and the others only compute. Boxes of tensors one of its threads has the tensor memory accelerator (TMA)
 * copy; what is gathered all of them copy (`cp.async`). They meet at barriers in shared memory (`mbarrier`),
 * two for each stage: that a stage is full, which the engine says by the bytes that it has written and each
 * thread's copies when they are done, and that it is empty, which each computing warp says (the producer and
 * the consumers of CUTLASS's kernels for sm_90; PTX ISA, "mbarrier").
 */

import { reserveLeaving, waitUntilLeft } from './boxed-stores.ts';
import type { Emission } from './emission.ts';
import { emitProducer } from './producer.ts';
import type { Specialised, Write } from './specialisation.ts';
import { firstTurn, meetInCluster, prepareStages } from './stages.ts';
import { literal } from './values.ts';

/** Prepares the stages, and parts those who bring from those who compute. */
export function emitSpecialised(emission: Emission, specialised: Specialised, write: Write): void {
  const { writer, places, program } = emission;
  const { pipeline, consumers, arrivals, gathers, stores, cluster } = specialised;
  prepareStages(emission, specialised);
  for (const store of stores) reserveLeaving(emission, store);
  const brings = writer.operation('setp.ge.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
  const computes = writer.operation('setp.lt.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
  const [few, many] = specialised.registers ?? [];
  writer.whenApart(brings, () => {
    if (few !== undefined) writer.effect(`setmaxnreg.dec.sync.aligned.u32 ${few};`);
    const isOne = writer.operation('setp.eq.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
    if (gathers) emitProducer(emission, specialised, isOne, write);
    else writer.when(isOne, false, () => emitProducer(emission, specialised, undefined, write));
  });
  writer.whenApart(computes, () => {
    if (many !== undefined) writer.effect(`setmaxnreg.inc.sync.aligned.u32 ${many};`);
    // Feeds that lag are a step behind the others.
    const together = pipeline.first === undefined ? firstTurn(writer) : undefined;
    emission.taken = arrivals.map((arrival) => ({ arrival, turn: together ?? firstTurn(writer) }));
    write(program.body);
    if (stores.length > 0) waitUntilLeft(emission);
  });
  // Nobody leaves while another one may write to its shared memory or arrive at its barriers.
  if (cluster > 1) meetInCluster(writer);
}
