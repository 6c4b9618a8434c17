/**
 * The commands of a rank, between which it exchanges with others. An exchange is started as soon as what it
 * sends is there, and waited for before the first command that touches where it arrives: what lies between
 * runs meanwhile.
 */
import type { Launch } from '../../compiler/plan/walk-steps.ts';

export type ExchangeCommand = Extract<Launch, { readonly kind: 'exchange' }>;

/** What a device does by itself to its buffers. */
type Own =
  | { readonly kind: 'dispatch'; readonly buffers: readonly number[] }
  | { readonly kind: 'copy' | 'copyBytes'; readonly from: number; readonly to: number };

/** An exchange, and the way that it takes alone until it has arrived. */
export interface Flight {
  readonly command: ExchangeCommand;
  /** Numbered from 0; as few as there are exchanges on the way at once. */
  readonly lane: number;
}

/** In this order: what must have arrived is there, commands run, and exchanges take what they send. */
export interface Round<C> {
  readonly awaited: readonly Flight[];
  readonly commands: readonly C[];
  /** None sends what another of them, or one that is still on the way, receives. */
  readonly started: readonly Flight[];
}

/**
 * As few rounds as the order of the commands allows; all that was started has arrived after the last.
 * @param overwritten Where what is sent stays in its buffer until it has arrived: the buffers that a command
 *   changes. It is then waited for before such a command.
 */
export function roundsOf<C extends Own>(
  all: readonly (C | ExchangeCommand)[],
  overwritten: ((command: C) => readonly number[]) | undefined = undefined,
): readonly Round<C>[] {
  const rounds: Round<C>[] = [];
  const flying: Flight[] = [];
  let [awaited, commands, started]: [Flight[], C[], Flight[]] = [[], [], []];
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
  const changedBy = (command: C | ExchangeCommand): readonly number[] => {
    if (overwritten === undefined) return [];
    return isExchange(command) ? [command.to] : overwritten(command);
  };
  for (const command of all) {
    const touched = buffersOf(command);
    const changed = changedBy(command);
    awaitAll(flying.filter(({ command: { from, to } }) => touched.includes(to) || changed.includes(from)));
    if (isExchange(command)) {
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

function isExchange(command: Own | ExchangeCommand): command is ExchangeCommand {
  return command.kind === 'exchange';
}

function buffersOf(command: Own | ExchangeCommand): readonly number[] {
  return command.kind === 'dispatch' ? command.buffers : [command.from, command.to];
}
