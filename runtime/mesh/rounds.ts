/**
 * The commands of a rank, between which it exchanges with others. An exchange is started as soon as what it
 * sends is there, and waited for before the first command that touches where it arrives: what lies between
 * runs meanwhile.
 */
import type { Command } from '../../compiler/plan/expand.ts';
import type { OwnCommand } from '../webgpu/encode.ts';

export type ExchangeCommand = Extract<Command, { readonly kind: 'exchange' }>;

/** An exchange, and the way that it takes alone until it has arrived. */
export interface Flight {
  readonly command: ExchangeCommand;
  /** Numbered from 0; as few as there are exchanges on the way at once. */
  readonly lane: number;
}

/** In this order: what must have arrived is written, commands run, and exchanges take what they send. */
export interface Round {
  readonly awaited: readonly Flight[];
  readonly commands: readonly OwnCommand[];
  /** None sends what another of them, or one that is still on the way, receives. */
  readonly started: readonly Flight[];
}

/** As few rounds as the order of the commands allows; all that was started has arrived after the last. */
export function roundsOf(all: readonly Command[]): readonly Round[] {
  const rounds: Round[] = [];
  const flying: Flight[] = [];
  let [awaited, commands, started]: [Flight[], OwnCommand[], Flight[]] = [[], [], []];
  const endRound = () => {
    rounds.push({ awaited, commands, started });
    [awaited, commands, started] = [[], [], []];
  };
  const awaitAll = (needed: readonly Flight[]) => {
    if (needed.length === 0) return;
    if (commands.length + started.length > 0) endRound();
    awaited.push(...needed);
    for (const flight of needed) flying.splice(flying.indexOf(flight), 1);
  };
  for (const command of all) {
    const touched = buffersOf(command);
    awaitAll(flying.filter(({ command: { to } }) => touched.includes(to)));
    if (command.kind === 'exchange') {
      const lanes = new Set(flying.map(({ lane }) => lane));
      const free = Array.from({ length: lanes.size + 1 }, (_, lane) => lane).find(
        (lane) => !lanes.has(lane),
      )!;
      const flight = { command, lane: free };
      flying.push(flight);
      started.push(flight);
      continue;
    }
    if (started.length > 0) endRound();
    commands.push(command);
  }
  awaitAll([...flying]);
  endRound();
  return rounds;
}

function buffersOf(command: Command): readonly number[] {
  return command.kind === 'dispatch' ? command.buffers : [command.from, command.to];
}
