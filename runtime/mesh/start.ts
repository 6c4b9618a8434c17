/** All ranks of a job start, or none does: nobody waits for a rank that has found that it cannot. */
import { agree, agreeOnParts } from './agree.ts';
import type { World } from './communicator.ts';

/**
 * Collective with `othersCanStart`: this rank is ready. Fulfilled when all are; never when some cannot start,
 * since they end the job.
 * @param common what must be the same on all ranks, by what it is called
 * @param parts what must be the same on all ranks that have it
 * @throws UserError `wrong-input` on every rank, where something is not
 */
export async function startTogether(
  world: World,
  common: Readonly<Record<string, string>>,
  parts: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const states = await gatherStates(world, ready);
  // This rank ends while it waits here.
  if (states.includes(failed)) await world.exchange({ verb: 'barrier' }, new Uint8Array(), new Uint8Array());
  for (const [name, content] of Object.entries(common)) await agree(world, name, content);
  await agreeOnParts(world, parts);
}

/**
 * Collective with `startTogether`: this rank cannot start. Where others can, they wait until it ends the job;
 * where none can, it may close as they do.
 */
export async function othersCanStart(world: World): Promise<boolean> {
  return (await gatherStates(world, failed)).includes(ready);
}

const [ready, failed] = [0, 1];

async function gatherStates(world: World, own: number): Promise<Uint8Array> {
  const states = new Uint8Array(world.size);
  await world.exchange({ verb: 'all_gather', dtype: 'u8' }, Uint8Array.of(own), states);
  return states;
}
