/**
 * How much is run as PTX: what there is time for, or all of it (`npm run ptx:all`, which takes a quarter of an
 * hour and more).
 */
export const allAsPtx = process.env.PTX === 'all';

/** Where not all is asked for, that part of what is counted through. */
export function runsAsPtx(turn: number, every: number): boolean {
  return allAsPtx || turn % every === 0;
}
