/** The commands of a rank, between which it exchanges with others. */
import type { Command } from '../../compiler/plan/expand.ts';
import type { OwnCommand } from '../webgpu/encode.ts';

export type ExchangeCommand = Extract<Command, { readonly kind: 'exchange' }>;

/** What a device does by itself, and then with others. */
export interface Round {
  readonly commands: readonly OwnCommand[];
  /** At least one, all at once: none sends what another of them receives. */
  readonly exchanges: readonly ExchangeCommand[];
}

export interface Rounds {
  readonly rounds: readonly Round[];
  /** After the last exchange. */
  readonly rest: readonly OwnCommand[];
}

/** As few rounds as the order of the commands allows. */
export function roundsOf(all: readonly Command[]): Rounds {
  const rounds: Round[] = [];
  let commands: OwnCommand[] = [];
  let exchanges: ExchangeCommand[] = [];
  const endRound = () => {
    if (exchanges.length > 0) {
      rounds.push({ commands, exchanges });
      [commands, exchanges] = [[], []];
    }
  };
  for (const command of all) {
    if (command.kind !== 'exchange') {
      endRound();
      commands.push(command);
      continue;
    }
    if (exchanges.some(({ to }) => to === command.from)) endRound();
    exchanges.push(command);
  }
  endRound();
  return { rounds, rest: commands };
}
