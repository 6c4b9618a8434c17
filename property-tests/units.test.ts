/** Products by matrix units, in every form that they may take, in the emulator. */
import { test } from 'vitest';
import { checkByUnits } from './by-units.ts';

test.each([
  'plain M=40,K=72,N=56',
  'plain M=33,K=50,N=70',
  'plain M=16,K=7,N=13',
  'wide_result M=70,K=96,N=40',
  'wide_result M=5,K=33,N=9',
  'left_across M=48,K=40,N=64',
  'left_across M=37,K=20,N=66',
  'both_across M=40,K=64,N=24',
  'both_across M=21,K=12,N=19',
  'batched_halves B=3,M=20,K=40,N=24',
  'of_eight_bits M=40,K=64,N=48',
  'kept_positive M=24,K=48,N=40',
  'rounded_between M=24,K=40,N=32,P=48',
  'experts_of_halves T=50,D=64,E=4,F=40',
  'experts_of_halves T=9,D=24,E=5,F=16',
])('%s', (name) => checkByUnits('units.ricci', name, 'units'));
