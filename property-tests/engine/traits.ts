/** What is said of values beside their type. */
import type { CaseTensor } from './case.ts';

export type Trait = never;
export function hasTraits(_tensor: CaseTensor, _traits: readonly Trait[]): boolean { return true; }
export function restoreTraits(tensor: CaseTensor, _traits: readonly Trait[]): CaseTensor { return tensor; }
export function withTraits(tensor: CaseTensor, _traits: readonly Trait[], _choose: unknown): CaseTensor { return tensor; }
